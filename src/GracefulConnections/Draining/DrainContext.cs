using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>What all batches of a host share.</summary>
internal sealed class DrainContext(
    ServerDrainOptions options, TimeProvider time, ILogger logger, SystemdNotifier notifier, DrainTelemetry telemetry)
{
    private readonly long _epoch = time.GetTimestamp();
    private volatile bool _isHostStopping;

    /// <summary>Gets the lock that guards which connections there are and which batches they are in.</summary>
    public Lock Lock { get; } = new();

    public ServerDrainOptions Options { get; } = options;

    public TimeProvider Time { get; } = time;

    /// <summary>Gets the time since the coordinator was made.</summary>
    public TimeSpan Now => Time.GetElapsedTime(_epoch);

    public ILogger Logger { get; } = logger;

    public SystemdNotifier Notifier { get; } = notifier;

    public DrainTelemetry Telemetry { get; } = telemetry;

    /// <summary>Gets what is said, in the order in which it happened.</summary>
    public OrderedActions Reports { get; } = new();

    /// <summary>
    /// Gets or sets whether the process is about to exit, so that a handler that ignores its abort may be left behind.
    /// </summary>
    public bool IsHostStopping
    {
        get => _isHostStopping;
        set => _isHostStopping = value;
    }

    /// <summary>Tells something after all that is still to be told. Call it outside of the lock.</summary>
    public void Report(Action report)
    {
        Reports.Add(report);
        Reports.Run();
    }
}
