using System.Net;
using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Draining;

/// <summary>Code of others that throws while a drain reports: the drain goes on, and no exception leaves its timers.</summary>
public class ForeignCodeTests
{
    [Fact]
    public async Task Logger_ThrowsAtEveryLine_TheDrainEndsInTime()
    {
        var thrower = new Thrower(at: 0, goesOn: true);
        var time = new FakeTimeProvider();
        using var loggers = new Loggers(new ThrowingLogger(thrower));
        using var sut = new DrainCoordinator(
            new OptionsWrapper<ServerDrainOptions>(new ServerDrainOptions()), loggers, time);
        var stuck = new FakeTrackedConnection(sut, time, "stuck") { IgnoresAbort = true };
        var busy = new FakeTrackedConnection(sut, time, "busy") { Busy = true };
        sut.Registry.Add(stuck);
        sut.Registry.Add(busy);

        await sut.BeginStop().WithinLimit();
        await sut.PrepareAsync(CloseReason.HostStopping).WithinLimit();
        var ended = sut.WaitAsync();
        for (var i = 0; i < 20; i++)
        {
            time.Advance(TimeSpan.FromSeconds(1)); // A report each.
        }

        time.Advance(TimeSpan.FromSeconds(0.5));

        await ended.WithinLimit();
        Assert.True(thrower.HasThrown && busy.IsAborted && stuck.AbandonCount == 1);
    }

    [Fact]
    public async Task Address_ThrowsAsText_IsNamedByItsType()
    {
        var sut = new TestDrain();
        sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, "a") { RemoteEndPoint = new ThrowingEndPoint(), Busy = true });

        var draining = sut.Coordinator.DrainAsync(static _ => true);
        sut.AdvanceSeconds(1);
        sut.AdvanceSeconds(19);

        Assert.Single((await draining.WithinLimit()).Aborted);
        Assert.Contains(
            "a (ThrowingEndPoint (InvalidOperationException), age 1.0 s)",
            Assert.Single(sut.Logger.Entries, static entry => entry.Message.Contains("left after 1.0 s", StringComparison.Ordinal)).Message,
            StringComparison.Ordinal);
    }

    private sealed class ThrowingEndPoint : EndPoint
    {
        public override string ToString() => throw new InvalidOperationException("The transport's own.");
    }

    private sealed class Loggers(ILogger logger) : ILoggerFactory
    {
        public ILogger CreateLogger(string categoryName) => logger;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public void Dispose()
        {
        }
    }
}
