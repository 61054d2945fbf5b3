using System.Diagnostics.Metrics;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests;

public class GracefulConnectionContextExtensionsTests
{
    [Fact]
    public async Task RunGracefullyAsync_Null_Throws()
    {
        await Assert.ThrowsAsync<ArgumentNullException>("connection", () => GracefulConnectionContextExtensions.RunGracefullyAsync(null!, WriteAsync));
        await Assert.ThrowsAsync<ArgumentNullException>("handler", () => new InMemoryConnection().RunGracefullyAsync(null!));
    }

    [Fact]
    public async Task RunGracefullyAsync_OptionsOutOfRange_NamesThemAndLeavesTheConnectionAsItWas()
    {
        var peer = new InMemoryConnection();
        var options = new GracefulCloseOptions { CloseTimeout = TimeSpan.Zero, LingerIdleTimeout = TimeSpan.Zero };

        var exception = await Assert.ThrowsAsync<OptionsValidationException>(() => peer.RunGracefullyAsync(WriteAsync, options));

        Assert.Contains(exception.Failures, failure => failure.Contains("CloseTimeout", StringComparison.Ordinal));
        Assert.Contains(exception.Failures, failure => failure.Contains("LingerIdleTimeout", StringComparison.Ordinal));
        Assert.Same(peer, peer.Transport);
        Assert.Null(peer.AbortReason);
        Assert.Null(peer.Features.Get<IGracefulCloseFeature>());

        // Nothing of the first attempt remains: corrected, the same options are taken.
        (options.CloseTimeout, options.LingerIdleTimeout) = (TimeSpan.FromMinutes(1), TimeSpan.FromSeconds(5));
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await peer.RunGracefullyAsync(WriteAsync, options).WithinLimit()).Outcome);
    }

    [Fact]
    public async Task RunGracefullyAsync_InsideAnEndpointThatCloses_ThrowsAndTheHandlerDoesNotRun()
    {
        var peer = new InMemoryConnection();
        peer.HalfClose();
        var ran = false;

        await Assert.ThrowsAsync<InvalidOperationException>(() => new TestEndpoint().RunAsync(peer, connection => connection.RunGracefullyAsync((_, _) =>
        {
            ran = true;
            return Task.CompletedTask;
        })).WithinLimit());

        Assert.False(ran);
    }

    [Fact]
    public async Task RunGracefullyAsync_Twice_ThrowsTheSecondTime()
    {
        var peer = new InMemoryConnection();
        peer.HalfClose();
        await peer.RunGracefullyAsync(WriteAsync).WithinLimit();

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => peer.RunGracefullyAsync(WriteAsync));

        Assert.Contains(peer.ConnectionId, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RunGracefullyAsync_HandlerReturns_LingersThenReturnsTheResult()
    {
        var peer = new InMemoryConnection();

        var running = peer.RunGracefullyAsync(WriteAsync);

        Assert.Equal("request", await peer.ReceiveToEndAsync());
        var feature = peer.Features.Get<IGracefulCloseFeature>()!;
        Assert.Equal(CloseState.Lingering, feature.State);
        Assert.False(running.IsCompleted);
        peer.Send("discarded");
        peer.HalfClose();
        var result = await running.WithinLimit();
        Assert.Equal((CloseReason.HandlerCompleted, CloseOutcome.Graceful, 9L), (result.Reason, result.Outcome, result.DiscardedBytes));
        Assert.Equal(await feature.Closed, result);
        Assert.Same(peer, peer.Transport);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RunGracefullyAsync_HandlerThrows_ClosesThenRethrows(bool synchronously)
    {
        var peer = new InMemoryConnection();
        peer.HalfClose();

        var exception = await Assert.ThrowsAsync<InvalidTimeZoneException>(() => peer.RunGracefullyAsync(async (connection, _) =>
        {
            if (!synchronously)
            {
                await WriteAsync(connection, CancellationToken.None);
            }

            throw new InvalidTimeZoneException("mine");
        }).WithinLimit());

        Assert.Equal("mine", exception.Message);
        Assert.Null(peer.AbortReason);
        var end = await peer.Features.Get<IGracefulCloseFeature>()!.Closed.WithinLimit();
        Assert.Equal((CloseReason.HandlerFaulted, CloseOutcome.Graceful), (end.Reason, end.Outcome));
    }

    [Fact]
    public async Task RunGracefullyAsync_PeerResets_ReturnsPeerResetAndThrowsNothing()
    {
        var peer = new InMemoryConnection();
        var running = peer.RunGracefullyAsync(async (connection, _) => await connection.Transport.Input.ReadAsync(CancellationToken.None));

        peer.Reset();

        var result = await running.WithinLimit();
        Assert.Equal((CloseReason.PeerReset, CloseOutcome.PeerReset), (result.Reason, result.Outcome));
    }

    [Fact]
    public async Task RunGracefullyAsync_CloseIsRequested_EndsTheInput()
    {
        var peer = new InMemoryConnection();
        var running = peer.RunGracefullyAsync((connection, _) => connection.Transport.Input.CopyToAsync(connection.Transport.Output, CancellationToken.None));

        peer.Features.Get<IGracefulCloseFeature>()!.RequestClose(CloseReason.MaxConnectionAge);

        Assert.Empty(await peer.ReceiveToEndAsync());
        peer.HalfClose();
        Assert.Equal((CloseReason.MaxConnectionAge, CloseOutcome.Graceful), await running.WithinLimit() is var result ? (result.Reason, result.Outcome) : default);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task RunGracefullyAsync_MaxLingeringConnections_CountsForThoseThatShareTheOptions(bool shared)
    {
        var options = new GracefulCloseOptions { MaxLingeringConnections = 1 };
        var first = new InMemoryConnection();
        var second = new InMemoryConnection();
        var runningFirst = first.RunGracefullyAsync(WriteAsync, options);
        Assert.Equal("request", await first.ReceiveToEndAsync());

        var runningSecond = second.RunGracefullyAsync(WriteAsync, shared ? options : new GracefulCloseOptions { MaxLingeringConnections = 1 });
        Assert.Equal("request", await second.ReceiveToEndAsync());

        second.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await runningSecond.WithinLimit()).Outcome);
        if (!shared)
        {
            first.HalfClose();
        }

        Assert.Equal(shared ? CloseOutcome.LingerEvicted : CloseOutcome.Graceful, (await runningFirst.WithinLimit()).Outcome);
    }

    [Fact]
    public async Task RunGracefullyAsync_WithServices_UsesTheirLoggerAndMeter()
    {
        var logger = new RecordingLogger();
        using var meters = new RecordingMeters();
        var services = new FakeServices().Add<ILoggerFactory>(logger).Add<IMeterFactory>(meters);
        var peer = new InMemoryConnection();
        peer.HalfClose();

        await peer.RunGracefullyAsync(WriteAsync, new GracefulCloseOptions(), services).WithinLimit();

        Assert.Equal("GracefulConnections", logger.Category);
        Assert.Single(logger.Events, "Closed");
        Assert.Single(meters.Of("graceful.close.duration"));
        Assert.Equal(0, meters.SumOf("graceful.connections.active"));
    }

    [Fact]
    public async Task RunGracefullyAsync_WithoutOptions_TakesThoseThatTheServicesConfigured()
    {
        var services = new FakeServices().Add<IOptionsFactory<GracefulCloseOptions>>(
            new OptionsFactory<GracefulCloseOptions>([new ConfigureOptions<GracefulCloseOptions>(options => options.MaxLingerBytes = 3)], []));
        var peer = new InMemoryConnection();
        var running = peer.RunGracefullyAsync(WriteAsync, services: services);
        Assert.Equal("request", await peer.ReceiveToEndAsync());

        peer.Send("four");

        Assert.Equal(CloseOutcome.LingerLimitExceeded, (await running.WithinLimit()).Outcome);
    }

    private static async Task WriteAsync(ConnectionContext connection, CancellationToken closeRequested) => await connection.Transport.Output.WriteAsync("request"u8.ToArray(), closeRequested);
}
