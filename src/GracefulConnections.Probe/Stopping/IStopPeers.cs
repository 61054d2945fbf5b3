using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Peers that are there when the server stops.</summary>
internal interface IStopPeers : IAsyncDisposable
{
    /// <summary>Brings the peers into the state in which the stop is to find them.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Goes on from the beginning of the stop to the end of every connection.</summary>
    Task<Finding> FinishAsync(CancellationToken cancellationToken);
}
