using System.Diagnostics.Metrics;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests;

public class GracefulShutdownConnectionBuilderExtensionsTests
{
    private readonly ConnectionBuilder _builder = new(new FakeServices());

    [Fact]
    public void UseGracefulShutdown_AnyBuilder_ReturnsItAsItsOwnType()
    {
        ConnectionBuilder builder = _builder.UseGracefulShutdown();
        Assert.Same(_builder, builder);

        var other = new ConnectionBuilder(new FakeServices());
        builder = other.UseGracefulShutdown(options => options.MaxLingerBytes = 0);
        Assert.Same(other, builder);
    }

    [Fact]
    public async Task UseGracefulShutdown_EmptyServiceContainer_ClosesGracefully()
    {
        var connection = new InMemoryConnection();
        IGracefulCloseFeature feature = null!;
        var run = _builder.UseGracefulShutdown().Run(Serve).Build();

        var running = run(connection);
        Assert.Equal("reply", await connection.ReceiveToEndAsync());
        connection.HalfClose();
        await running.WithinLimit();

        Assert.Equal(CloseOutcome.Graceful, (await feature.Closed.WithinLimit()).Outcome);

        async Task Serve(ConnectionContext context)
        {
            feature = context.Features.Get<IGracefulCloseFeature>()!;
            await context.Transport.Output.WriteAsync("reply"u8.ToArray());
        }
    }

    [Fact]
    public void UseGracefulShutdown_NoServiceContainer_Works()
    {
        // A builder of somebody's own may have none, whatever its annotations say.
        var builder = new ConnectionBuilder(null!);

        builder.UseGracefulShutdown();

        Assert.NotNull(builder.Build());
    }

    [Fact]
    public void UseGracefulShutdown_Null_ThrowsArgumentNullException()
    {
        Assert.Throws<ArgumentNullException>("builder", () => ((ConnectionBuilder)null!).UseGracefulShutdown());
        Assert.Throws<ArgumentNullException>("builder", () => ((ConnectionBuilder)null!).UseGracefulShutdown(_ => { }));
    }

    [Fact]
    public void UseGracefulShutdown_TwiceOnOneBuilder_ThrowsInvalidOperationExceptionAtItsStart()
    {
        _builder.UseGracefulShutdown().UseGracefulShutdown(_ => { });

        var exception = Assert.Throws<InvalidOperationException>(() => _builder.Build());
        Assert.StartsWith("UseGracefulShutdown() was called twice on one endpoint.", exception.Message, StringComparison.Ordinal);
        Assert.EndsWith("UseGracefulShutdown(), UseHttps(), UseGracefulShutdown().", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void UseGracefulShutdown_TwiceWithAnotherMiddlewareBetween_ThrowsInvalidOperationExceptionAtItsStart()
    {
        _builder.UseGracefulShutdown().Use(next => connection => next(connection)).Use(next => async connection => await next(connection)).UseGracefulShutdown();

        Assert.Throws<InvalidOperationException>(() => _builder.Build());
    }

    [Fact]
    public async Task UseGracefulShutdown_TwiceBehindAMiddlewareThatCannotBeLookedInto_ThrowsAtTheFirstConnection()
    {
        var later = new List<ConnectionDelegate>();
        var run = _builder
            .UseGracefulShutdown()
            .Use(next =>
            {
                later.Add(next);
                return connection => later[^1](connection); // Built more than once: each time with a next one of its own.
            })
            .UseGracefulShutdown()
            .Run(_ => Task.CompletedTask)
            .Build();

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => run(new InMemoryConnection()).WithinLimit());
        Assert.Contains("is closed by UseGracefulShutdown() or RunGracefullyAsync() already", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void UseGracefulShutdown_OnTwoBuilders_IsFine()
    {
        var services = new FakeServices();

        new ConnectionBuilder(services).UseGracefulShutdown();
        new ConnectionBuilder(services).UseGracefulShutdown();
    }

    [Fact]
    public void UseGracefulShutdown_BadOptions_ThrowsAtOnceWithEveryFailure()
    {
        var exception = Assert.Throws<OptionsValidationException>(() => _builder.UseGracefulShutdown(options =>
        {
            options.CloseTimeout = TimeSpan.Zero;
            options.MaxLingerBytes = -7;
        }));

        Assert.Collection(
            exception.Failures,
            failure => Assert.EndsWith(
                ": CloseTimeout must be positive and finite, but was 00:00:00.", failure, StringComparison.Ordinal),
            failure => Assert.EndsWith(
                ": MaxLingerBytes must be null for no limit, or zero or more bytes, but was -7.", failure, StringComparison.Ordinal));
        Assert.All(exception.Failures, failure => Assert.Contains(
            $"GracefulCloseOptions of the endpoint {_builder}", failure, StringComparison.Ordinal));
    }

    [Fact]
    public void UseGracefulShutdown_BadOptionsInTheContainer_ThrowsAtOnce()
    {
        var builder = new ConnectionBuilder(Configured(options => options.GoodbyeTimeout = TimeSpan.Zero));

        Assert.Throws<OptionsValidationException>(() => builder.UseGracefulShutdown());
    }

    [Fact]
    public void UseGracefulShutdown_OptionsInTheContainer_AreWhereItStarts()
    {
        var builder = new ConnectionBuilder(Configured(options => options.MaxLingerBytes = 42));
        GracefulCloseOptions? seen = null;

        builder.UseGracefulShutdown(options => seen = options);

        Assert.Equal(42, seen!.MaxLingerBytes);
        Assert.Equal(new GracefulCloseOptions().CloseTimeout, seen.CloseTimeout);
    }

    [Fact]
    public void UseGracefulShutdown_TwoEndpointsOfOneContainer_DoNotShareTheirOptions()
    {
        var services = Configured(options => options.MaxLingerBytes = 42);
        GracefulCloseOptions? second = null;

        new ConnectionBuilder(services).UseGracefulShutdown(options => options.MaxLingerBytes = 1);
        new ConnectionBuilder(services).UseGracefulShutdown(options => second = options);

        Assert.Equal(42, second!.MaxLingerBytes);
    }

    [Fact]
    public async Task UseGracefulShutdown_ClockLogAndMetersInTheContainer_AreUsed()
    {
        var time = new FakeTimeProvider();
        var logger = new RecordingLogger();
        var meters = new RecordingMeters();
        var services = new FakeServices().Add<TimeProvider>(time).Add<ILoggerFactory>(logger).Add<IMeterFactory>(meters);
        var run = new ConnectionBuilder(services).UseGracefulShutdown().Run(_ => Task.CompletedTask).Build();

        var running = run(new InMemoryConnection());
        time.Advance(new GracefulCloseOptions().LingerIdleTimeout);
        await running.WithinLimit();

        Assert.Equal("GracefulConnections", logger.Category);
        Assert.Contains("Closed", logger.Events);
        Assert.Contains("linger_timed_out", Assert.Single(meters.Of("graceful.close.duration")).Tags, StringComparison.Ordinal);
    }

    private static FakeServices Configured(Action<GracefulCloseOptions> configure) => new FakeServices().Add<IOptionsFactory<GracefulCloseOptions>>(
        new OptionsFactory<GracefulCloseOptions>([new ConfigureOptions<GracefulCloseOptions>(configure)], []));
}
