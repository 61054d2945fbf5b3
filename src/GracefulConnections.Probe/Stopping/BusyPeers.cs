using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Peers that have asked for more than they have read.</summary>
internal sealed class BusyPeers(ScenarioContext context) : StopPeersOnConnections(context, count: 3)
{
    // Little enough for the server's kernel to take it all before the stop, whether the server reads it or not.
    private const int LoadBytes = 64 * 1024;
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(200);

    private readonly Load _load = context.CreateLoad(
        Math.Clamp(LoadBytes / context.Profile.Request.Length, 1, context.Profile.MaxPipelined), withEnding: false);

    private bool _isDelivered = true;

    protected override async Task StartOneAsync(int index, CancellationToken cancellationToken)
    {
        await Connections[index].SendAsync(_load.Bytes, cancellationToken);
        _isDelivered &= await Connections[index].AwaitDeliveryAsync(cancellationToken) == true;
    }

    protected override async Task<Finding> FinishOneAsync(int index, CancellationToken cancellationToken)
    {
        var connection = Connections[index];
        var outcome = await connection.ReadToAsync(_load.ReplyBytes, cancellationToken, Pace, StopMoment.Longest);
        if (outcome == ReadOutcome.Reached)
        {
            await connection.ReadToEndAsync(cancellationToken, silence: StopMoment.Longest);
        }

        var finding = EndJudge.Judge(connection, _load, Context.Profile, StopMoment.Longest);
        return finding.LostBytes > 0 && !_isDelivered
            ? Finding.Unsure(finding.Seen,
                "Not all requests had been taken by the server's kernel when the stop began.")
            : finding;
    }
}
