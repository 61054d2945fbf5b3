using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <summary>What all drains of a host share.</summary>
internal sealed class DrainContext(
    ServerDrainOptions options, TimeProvider time, ILogger logger, SystemdNotifier notifier)
{
    private volatile bool _isHostStopping;

    /// <summary>Gets the lock that guards which connections there are and which drain they belong to.</summary>
    public Lock Lock { get; } = new();

    public ServerDrainOptions Options { get; } = options;

    public TimeProvider Time { get; } = time;

    public ILogger Logger { get; } = logger;

    public SystemdNotifier Notifier { get; } = notifier;

    /// <summary>
    /// Gets or sets whether the process is about to exit, so that a handler that ignores its abort may be left behind.
    /// </summary>
    public bool IsHostStopping
    {
        get => _isHostStopping;
        set => _isHostStopping = value;
    }
}
