using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>What all batches of a host share.</summary>
internal sealed class DrainContext(
    ServerDrainOptions options, TimeProvider time, ILogger logger, SystemdNotifier notifier)
{
    private readonly long _epoch = time.GetTimestamp();
    private volatile bool _isHostStopping;
    private volatile bool _isHandedOver;

    /// <summary>Gets the lock that guards which connections there are and which batches they are in.</summary>
    public Lock Lock { get; } = new();

    public ServerDrainOptions Options { get; } = options;

    public TimeProvider Time { get; } = time;

    /// <summary>Gets the time since the coordinator was made.</summary>
    public TimeSpan Now => Time.GetElapsedTime(_epoch);

    public ILogger Logger { get; } = logger;

    public SystemdNotifier Notifier { get; } = notifier;

    /// <summary>Gets what is said, in the order in which it happened.</summary>
    public OrderedActions Reports { get; } = new();

    /// <summary>Gets whether a successor accepts at the same addresses.</summary>
    public bool IsHandedOver => _isHandedOver;

    /// <summary>
    /// Gets or sets whether the process is about to exit, so that a handler that ignores its abort may be left behind.
    /// </summary>
    public bool IsHostStopping
    {
        get => _isHostStopping;
        set => _isHostStopping = value;
    }

    /// <summary>
    /// A successor accepts at the same addresses. The stop that follows is not the service's, so the service manager
    /// hears nothing of it.
    /// </summary>
    public void HandOver()
    {
        _isHandedOver = true;
        Notifier.Silence();
    }
}
