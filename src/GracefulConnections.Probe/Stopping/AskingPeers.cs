using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Peers that ask, read and ask again.</summary>
internal sealed class AskingPeers(ScenarioContext context, StopMoment stop) : StopPeersOnConnections(context, count: 3)
{
    // A relay knows no messages, so it can end such a connection only once the peer pauses, as all peers do.
    private static readonly TimeSpan GoOn = TimeSpan.FromSeconds(3);

    private readonly List<Task<(int Whole, bool BegunBefore)>> _asking = [];

    protected override async Task StartOneAsync(int index, CancellationToken cancellationToken)
    {
        if (await Context.ExchangeAsync(Connections[index], cancellationToken))
        {
            Connections[index].ForgetReceived();
            _asking.Add(AskAsync(Connections[index], cancellationToken));
        }
    }

    protected override async Task<Finding> FinishOneAsync(int index, CancellationToken cancellationToken)
    {
        if (index >= _asking.Count)
        {
            return Finding.Unsure("no reply", "The peer was not served before the stop.");
        }

        var (whole, begunBefore) = await _asking[index];
        var connection = Connections[index];
        var cut = connection.ReceivedBytes;
        var seen = $"{whole:N0} whole replies, {cut:N0} bytes of another, then {EndJudge.DescribeEnd(connection)}";
        return connection.End switch
        {
            ServerEnd.None => Finding.Fail(
                Fault.LateRelease, seen, "The server did not end the connection within 60 s."),
            ServerEnd.Unreachable => Finding.Unsure(seen, "The network gave up."),
            _ when cut > 0 || begunBefore => Finding.Fail(
                connection.End == ServerEnd.Reset || connection.IsTruncated
                    ? Fault.LostBehindReset : Fault.LostBehindEnd,
                seen,
                cut > 0 ? "A reply was cut." : "A request that was sent before the stop got no reply.",
                Math.Max(1, Context.Calibration.ReplyBytes - cut)),
            ServerEnd.Reset => Finding.Fail(Fault.UncleanEnd, seen),
            _ when connection.ResetAfterFin => Finding.Pass(seen,
                "The last request crossed with FIN, and was answered by RST."),
            _ => Finding.Pass(seen),
        };
    }

    // Until the connection ends. What is left in Received then is a cut reply.
    private async Task<(int Whole, bool BegunBefore)> AskAsync(
        ProbeConnection connection, CancellationToken cancellationToken)
    {
        var whole = 0;
        while (stop.Elapsed < GoOn)
        {
            await connection.SendAsync(Context.Profile.Request, cancellationToken);
            var begunBefore = Context.ArrivesAtOnce && !stop.HasBegun;
            if (!await Context.ReadReplyAsync(connection, before: 0, cancellationToken))
            {
                await connection.ReadToEndAsync(cancellationToken, silence: StopMoment.Longest);
                return (whole, begunBefore);
            }

            connection.ForgetReceived();
            whole++;
        }

        await connection.ReadToEndAsync(cancellationToken, silence: StopMoment.Longest);
        return (whole, false);
    }
}
