using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Peers with one connection each, which are all judged alike. The worst finding stands for all.</summary>
internal abstract class StopPeersOnConnections(ScenarioContext context, int count) : IStopPeers
{
    private readonly List<ProbeConnection> _connections = [];

    protected ScenarioContext Context => context;

    protected IReadOnlyList<ProbeConnection> Connections => _connections;

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        for (var i = 0; i < count; i++)
        {
            _connections.Add(await context.ConnectAsync(cancellationToken));
            await StartOneAsync(i, cancellationToken);
        }
    }

    public async Task<Finding> FinishAsync(CancellationToken cancellationToken)
    {
        context.Timeline.Note("The stop begins.");
        var finishing = _connections.Select((_, i) => FinishOneAsync(i, cancellationToken)).ToList();
        var findings = await Task.WhenAll(finishing);
        var worst = Finding.Worst(findings);
        var same = findings.Count(finding => finding.Verdict == worst.Verdict && finding.Fault == worst.Fault);
        return worst with
        {
            Seen = $"{same} of {count}: {worst.Seen}",
            LostBytes = findings.Sum(finding => finding.LostBytes),
        };
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var connection in _connections)
        {
            await connection.DisposeAsync();
        }
    }

    protected abstract Task StartOneAsync(int index, CancellationToken cancellationToken);

    protected abstract Task<Finding> FinishOneAsync(int index, CancellationToken cancellationToken);
}
