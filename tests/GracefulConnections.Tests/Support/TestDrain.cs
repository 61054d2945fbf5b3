using GracefulConnections.Draining;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Support;

/// <summary>A coordinator with a clock and a log of its own.</summary>
internal sealed class TestDrain
{
    public TestDrain(
        Action<ServerDrainOptions>? configure = null, DrainSteps? steps = null, FakeTimeProvider? time = null)
    {
        configure?.Invoke(Options);
        Time = time ?? new FakeTimeProvider();
        Coordinator = new DrainCoordinator(new OptionsWrapper<ServerDrainOptions>(Options), Logger, Time, steps, Meters);
    }

    public FakeTimeProvider Time { get; }

    public RecordingLogger Logger { get; } = new();

    public RecordingMeters Meters { get; } = new();

    public ServerDrainOptions Options { get; } = new();

    public DrainCoordinator Coordinator { get; }

    public DrainPhase Phase => Coordinator.Phase;

    /// <summary>Makes a connection that the coordinator does not know yet.</summary>
    public FakeTrackedConnection Create(string id = "a") => new(Coordinator, Time, id);

    /// <summary>A connection comes.</summary>
    public FakeTrackedConnection Accept(string id = "a") => Add(Create(id));

    /// <summary>A connection comes.</summary>
    public FakeTrackedConnection Add(FakeTrackedConnection connection)
    {
        Coordinator.Registry.Add(connection);
        return connection;
    }

    /// <summary>A connection comes whose handler goes on when it is aborted.</summary>
    public FakeTrackedConnection AcceptIgnorant(string id = "a") => Add(new FakeTrackedConnection(Coordinator, Time, id) { IgnoresAbort = true });

    /// <summary>The host stops, up to the server's own stop: what the hosted service does before it.</summary>
    public async Task AnnounceStopAsync()
    {
        await Coordinator.BeginStop();
        await Coordinator.PrepareAsync(CloseReason.HostStopping);
        Coordinator.Registry.OnServerStopping();
    }

    /// <summary>The host stops, and callbacks of the drain's tokens run on the thread pool before it goes on.</summary>
    /// <returns>What the hosted service waits for in the end.</returns>
    public async Task<Task> StopHostAsync()
    {
        await AnnounceStopAsync().WithinLimit();
        Coordinator.BeginDraining(CloseReason.HostStopping);
        return Coordinator.WaitAsync();
    }

    /// <summary>The host stops without an announcement's delay.</summary>
    /// <returns>What the hosted service waits for in the end.</returns>
    public Task StopHost()
    {
        Assert.Equal(TimeSpan.Zero, Options.AnnounceDelay);
        Assert.True(AnnounceStopAsync().IsCompletedSuccessfully);
        Coordinator.BeginDraining(CloseReason.HostStopping);
        return Coordinator.WaitAsync();
    }

    /// <summary>Drains the whole server while the host goes on: what <see cref="DrainCoordinator.DrainAsync(CancellationToken)"/> does on the thread pool, on this thread.</summary>
    public Task<DrainReport> DrainLive()
    {
        Assert.Equal(TimeSpan.Zero, Options.AnnounceDelay);
        Assert.True(Coordinator.AnnounceAsync().IsCompletedSuccessfully);
        Assert.True(Coordinator.PrepareAsync(CloseReason.Drain).IsCompletedSuccessfully);
        Coordinator.BeginDraining(CloseReason.Drain);
        return Coordinator.DrainAsync();
    }

    public void Advance(TimeSpan time) => Time.Advance(time);

    public void AdvanceSeconds(double seconds) => Advance(TimeSpan.FromSeconds(seconds));
}
