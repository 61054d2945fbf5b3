using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Pipeline;

public class GoodbyeTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    [Fact]
    public async Task Goodbye_CloseRequested_IsSentAfterTheReplyAndBeforeOurFin()
    {
        CloseReason? told = null;
        var connection = new TestEndpoint(options => options.Goodbye = async (connection, reason, cancellationToken) =>
        {
            told = reason;
            await connection.Transport.Output.WriteAsync("bye"u8.ToArray(), cancellationToken);
        }).Serve();
        connection.Feature.RequestClose(CloseReason.Drain);
        await connection.Output.WriteAsync("reply "u8.ToArray());
        Assert.Null(told);

        connection.Return();

        Assert.Equal("reply bye", await connection.Peer.ReceiveToEndAsync());
        Assert.Equal(CloseReason.Drain, told);
        connection.Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task Goodbye_HandlerReturnedByItself_IsNotSaid()
    {
        var connection = new TestEndpoint(options => options.Goodbye = (_, _, _) => throw new InvalidTimeZoneException()).Serve();
        connection.Peer.HalfClose();

        connection.Return();

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        Assert.Equal("", await connection.Peer.ReceiveToEndAsync());
    }

    [Theory]
    [InlineData("output completed")]
    [InlineData("aborted")]
    [InlineData("handler threw")]
    public async Task Goodbye_NothingCanBeWrittenAnyMore_IsNotSaid(string why)
    {
        var said = false;
        var endpoint = new TestEndpoint(options => options.Goodbye = (_, _, _) =>
        {
            said = true;
            return default;
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();

        switch (why)
        {
            case "output completed":
                connection.Output.Complete();
                connection.Peer.HalfClose();
                connection.Return();
                break;
            case "aborted":
                connection.Output.Complete(new InvalidTimeZoneException());
                connection.Return();
                break;
            default:
                connection.Peer.HalfClose();
                connection.Throw(new InvalidTimeZoneException());
                await Assert.ThrowsAsync<InvalidTimeZoneException>(() => connection.Running.WithinLimit());
                break;
        }

        await endpoint.Time.UntilAsync(connection.Feature.Closed);
        Assert.False(said);
    }

    [Fact]
    public async Task Goodbye_HandlersAndEndpoints_HandlersComesFirst()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = (connection, _, cancellationToken) => SayAsync(connection, "endpoint's", cancellationToken));
        var peer = new InMemoryConnection();
        var handler = new WaitingHandler("handler's ");
        var running = endpoint.RunAsync(peer, handler.OnConnectedAsync);

        peer.Features.Get<IGracefulCloseFeature>()!.RequestClose(CloseReason.Drain);

        Assert.Equal("handler's endpoint's", await peer.ReceiveToEndAsync());
        Assert.Equal([CloseReason.Drain], handler.Goodbyes);
        peer.HalfClose();
        await running.WithinLimit();
    }

    [Fact]
    public async Task Goodbye_Throws_TheCloseGoesOnWithWhatItHadFlushed()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = async (connection, _, cancellationToken) =>
        {
            await SayAsync(connection, "bye", cancellationToken);
            throw new InvalidTimeZoneException();
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();

        connection.Return();

        Assert.Equal("bye", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        Assert.Single(endpoint.Logger.Entries, entry => entry is { Id.Name: "GoodbyeFaulted", Level: LogLevel.Warning, Exception: InvalidTimeZoneException });
    }

    [Fact]
    public async Task Goodbye_ThrowsSynchronously_TheCloseGoesOn()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = (_, _, _) => throw new InvalidTimeZoneException());
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();

        connection.Return();

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        Assert.Single(endpoint.Logger.Events, "GoodbyeFaulted");
    }

    [Fact]
    public async Task GoodbyeTimeout_GoodbyeHangs_IsCancelledAtTheEdgeAndTheCloseGoesOn()
    {
        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var endpoint = new TestEndpoint(options =>
        {
            options.GoodbyeTimeout = TimeSpan.FromSeconds(3);
            options.Goodbye = async (_, _, cancellationToken) =>
            {
                await using var registration = cancellationToken.Register(cancelled.SetResult);
                await new TaskCompletionSource().Task;
            };
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();

        endpoint.Time.Advance(TimeSpan.FromSeconds(3));

        await cancelled.Task.WithinLimit();
        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.Application, CloseOutcome.Graceful, TimeSpan.FromSeconds(3)), (end.Reason, end.Outcome, end.Duration));
        var entry = Assert.Single(endpoint.Logger.Entries, entry => entry.Id.Name == "GoodbyeTimedOut");
        Assert.Equal((LogLevel.Warning, 3000.0), (entry.Level, entry.Values["TimeoutMs"]));
    }

    [Fact]
    public async Task GoodbyeTimeout_CallbackOfTheTokenBlocks_DoesNotHoldTheClose()
    {
        using var release = new ManualResetEventSlim();
        var endpoint = new TestEndpoint(options => options.Goodbye = async (_, _, cancellationToken) =>
        {
            cancellationToken.Register(() => Assert.True(release.Wait(TimeSpan.FromSeconds(60))));
            await new TaskCompletionSource().Task;
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();

        endpoint.Time.Advance(endpoint.Options.GoodbyeTimeout);

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        release.Set();
    }

    [Fact]
    public async Task GoodbyeTimeout_GoodbyeEndsByItsToken_IsNotReportedAsAFault()
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var endpoint = new TestEndpoint(options => options.Goodbye = async (_, _, cancellationToken) =>
        {
            try
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
            }
            finally
            {
                ended.SetResult();
            }
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();

        endpoint.Time.Advance(endpoint.Options.GoodbyeTimeout);

        await connection.EndAsync();
        await ended.Task.WithinLimit();
        Assert.Single(endpoint.Logger.Events, "GoodbyeTimedOut");
        Assert.DoesNotContain("GoodbyeFaulted", endpoint.Logger.Events);
    }

    [Fact]
    public async Task GoodbyeTimeout_GoodbyeEndsOneTickBefore_IsNotCancelled()
    {
        var goodbye = new TaskCompletionSource();
        CancellationToken token = default;
        var endpoint = new TestEndpoint(options =>
        {
            options.GoodbyeTimeout = TimeSpan.FromSeconds(3);
            options.Goodbye = async (_, _, cancellationToken) =>
            {
                token = cancellationToken;
                await goodbye.Task;
            };
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();

        endpoint.Time.Advance(TimeSpan.FromSeconds(3) - Tick);
        goodbye.SetResult();

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
        Assert.False(token.IsCancellationRequested);
        Assert.DoesNotContain("GoodbyeTimedOut", endpoint.Logger.Events);
    }

    [Fact]
    public async Task GoodbyeTimeout_HandlersAndEndpoints_ShareIt()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = async (_, _, cancellationToken) => await UntilCancelledAsync(cancellationToken));
        var peer = new InMemoryConnection();
        var handler = new WaitingHandler(goodbye: null);
        var running = endpoint.RunAsync(peer, handler.OnConnectedAsync);
        peer.Features.Get<IGracefulCloseFeature>()!.RequestClose();
        peer.HalfClose();

        await handler.SayingGoodbye.WithinLimit();
        endpoint.Time.Advance(endpoint.Options.GoodbyeTimeout); // One timeout ends both, one inside of the other.

        await running.WithinLimit();
        Assert.Single(endpoint.Logger.Events, "GoodbyeTimedOut");
    }

    [Fact]
    public async Task Goodbye_HangsInAFlush_IsReleasedByTheTimeout()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = async (connection, _, _) => await SayAsync(connection, "goodbye", CancellationToken.None));
        var connection = endpoint.Serve(InMemory.Narrow());
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();

        endpoint.Time.Advance(endpoint.Options.GoodbyeTimeout);
        await endpoint.Time.UntilAsync(() => connection.State == CloseState.Flushing);

        Assert.Equal("goodbye", await connection.Peer.ReceiveToEndAsync()); // What it had flushed.
        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task Goodbye_HangsAndIgnoresItsToken_WritesAfterTheTimeoutFail()
    {
        var goOn = new TaskCompletionSource();
        var wrote = new TaskCompletionSource<Exception?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var endpoint = new TestEndpoint(options => options.Goodbye = async (connection, _, _) =>
        {
            var output = connection.Transport.Output;
            await goOn.Task;
            wrote.SetResult(await Record.ExceptionAsync(() => output.WriteAsync("bye"u8.ToArray()).WithinLimit()));
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();
        endpoint.Time.Advance(endpoint.Options.GoodbyeTimeout);
        await connection.EndAsync();

        goOn.SetResult();

        Assert.IsType<ObjectDisposedException>(await wrote.Task.WithinLimit());
        Assert.Equal("", connection.Peer.Receive());
    }

    [Fact]
    public async Task Goodbye_CallbackOfItsTokenThrows_TheCloseGoesOn()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = async (_, _, cancellationToken) =>
        {
            cancellationToken.Register(() => throw new InvalidTimeZoneException());
            await new TaskCompletionSource().Task;
        });
        var connection = endpoint.Serve();
        connection.Feature.RequestClose();
        connection.Peer.HalfClose();
        connection.Return();

        endpoint.Time.Advance(endpoint.Options.GoodbyeTimeout);

        Assert.Equal(CloseOutcome.Graceful, (await connection.EndAsync()).Outcome);
    }

    [Fact]
    public async Task Goodbye_ConnectionEndsMeanwhile_IsCancelledAtOnce()
    {
        var endpoint = new TestEndpoint(options => options.Goodbye = async (_, _, cancellationToken) => await UntilCancelledAsync(cancellationToken));
        var connection = endpoint.Serve();
        connection.Feature.RequestClose(CloseReason.Drain);
        connection.Return();

        connection.Peer.Reset(); // And the clock stands still.

        var end = await connection.EndAsync();
        Assert.Equal((CloseReason.Drain, CloseOutcome.PeerReset), (end.Reason, end.Outcome));
        Assert.DoesNotContain("GoodbyeTimedOut", endpoint.Logger.Events);
    }

    private static async ValueTask SayAsync(ConnectionContext connection, string text, CancellationToken cancellationToken) =>
        await connection.Transport.Output.WriteAsync(System.Text.Encoding.ASCII.GetBytes(text), cancellationToken);

    private static async Task UntilCancelledAsync(CancellationToken cancellationToken)
    {
        var cancelled = new TaskCompletionSource();
        await using var registration = cancellationToken.Register(cancelled.SetResult);
        await cancelled.Task;
    }
}
