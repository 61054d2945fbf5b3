using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Peers that are in the middle of a request.</summary>
internal sealed class HalfWayPeers(ScenarioContext context) : StopPeersOnConnections(context, count: 3)
{
    private static readonly TimeSpan Rest = TimeSpan.FromMilliseconds(300);

    private int Half => Context.Profile.HalfBytes ?? 0;

    protected override async Task StartOneAsync(int index, CancellationToken cancellationToken)
    {
        await Connections[index].SendAsync(Context.Profile.Request.AsMemory(0, Half), cancellationToken);
        await Connections[index].AwaitDeliveryAsync(cancellationToken);
    }

    protected override async Task<Finding> FinishOneAsync(int index, CancellationToken cancellationToken)
    {
        var connection = Connections[index];
        await Context.DelayAsync(Rest, cancellationToken);
        if (await connection.ReadAsync(TimeSpan.Zero, cancellationToken) == ReadOutcome.Reached)
        {
            return HalfMessage.Judge(connection, Context.Profile, "half a request before the stop");
        }

        await connection.SendAsync(Context.Profile.Request.AsMemory(Half), cancellationToken);
        await connection.ReadToEndAsync(cancellationToken, silence: StopMoment.Longest);
        if (connection.ReceivedBytes == 0 && connection.End == ServerEnd.Fin)
        {
            return Finding.Pass($"no reply, then {EndJudge.DescribeEnd(connection)}");
        }

        if (connection.ReceivedBytes == 0 && connection.End == ServerEnd.Reset)
        {
            return Finding.Fail(Fault.UncleanEnd, "no reply, then RST", "The peer cannot know whether it was served.");
        }

        var load = Context.CreateLoad(requests: 1, withEnding: false);
        return EndJudge.Judge(connection, load, Context.Profile, StopMoment.Longest);
    }
}
