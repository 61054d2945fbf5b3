using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Peers that have asked once and wait.</summary>
internal sealed class IdlePeers(ScenarioContext context) : StopPeersOnConnections(context, count: 5)
{
    protected override async Task StartOneAsync(int index, CancellationToken cancellationToken) =>
        await Context.ExchangeAsync(Connections[index], cancellationToken);

    protected override async Task<Finding> FinishOneAsync(int index, CancellationToken cancellationToken)
    {
        var connection = Connections[index];
        await connection.ReadToEndAsync(cancellationToken, silence: StopMoment.Longest);
        var load = Context.CreateLoad(requests: 1, withEnding: false);
        return EndJudge.Judge(connection, load, Context.Profile, StopMoment.Longest);
    }
}
