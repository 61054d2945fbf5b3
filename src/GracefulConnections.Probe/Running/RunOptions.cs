using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Stopping;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Running;

/// <summary>Everything that a run needs to know.</summary>
internal sealed record RunOptions
{
    public required Target Target { get; init; }

    public required Profile Profile { get; init; }

    public TlsSettings? Tls { get; init; }

    /// <summary>Gets the longest silence that is waited for. Defaults to 10 seconds.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Gets how many idle connections are made. Defaults to 1,000.</summary>
    public int IdleConnections { get; init; } = 1000;

    /// <summary>Gets whether no two scenarios run at the same time.</summary>
    public bool IsSerial { get; init; }

    /// <summary>Gets the names of the scenarios to run; empty for all.</summary>
    public IReadOnlySet<string> Only { get; init; } = new HashSet<string>();

    public StopAction? Restart { get; init; }

    public StopAction? Stop { get; init; }
}
