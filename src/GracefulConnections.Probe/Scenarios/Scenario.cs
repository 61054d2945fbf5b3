using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>One thing that peers do to servers, and what a correct server does then.</summary>
internal abstract class Scenario(ScenarioInfo info)
{
    public ScenarioInfo Info => info;

    /// <summary>Gets whether no other scenario may run at the same time, because it would be disturbed.</summary>
    public virtual bool RunsAlone => false;

    /// <summary>Gets whether the scenario is about TLS.</summary>
    public virtual bool NeedsTls => false;

    /// <summary>Runs it.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">A connection cannot be made.</exception>
    /// <exception cref="Wire.TlsFailedException">A TLS handshake failed.</exception>
    public abstract Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken);
}
