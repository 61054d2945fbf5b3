using System.Net.Sockets;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>A peer that connects, asks and ends, again and again.</summary>
internal sealed class ConnectingPeers(ScenarioContext context, StopKind kind, StopMoment stop) : IStopPeers
{
    private const int RefusedInARow = 20;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan After = TimeSpan.FromSeconds(3);

    private readonly List<Finding> _faults = [];
    private Task _connecting = Task.CompletedTask;
    private bool _ended;
    private int _served;
    private int _refused;
    private int _resetAfter;
    private int _endedAfter;

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _connecting = ConnectAgainAndAgainAsync(cancellationToken);
        return Task.CompletedTask;
    }

    public async Task<Finding> FinishAsync(CancellationToken cancellationToken)
    {
        context.Timeline.Note("The stop begins.");
        await _connecting;
        var seen = $"{_served:N0} served, {_refused:N0} connects refused, " +
            $"accepted during the stop and not served: {_endedAfter:N0} by FIN, {_resetAfter:N0} by RST";
        return _faults.Count == 0
            ? Finding.Pass(seen)
            : Finding.Worst(_faults) with { Seen = $"{seen}; {_faults.Count:N0}: {Finding.Worst(_faults).Seen}" };
    }

    public async ValueTask DisposeAsync()
    {
        _ended = true;
        await _connecting;
    }

    private async Task ConnectAgainAndAgainAsync(CancellationToken cancellationToken)
    {
        var refusedInARow = 0;
        while (!_ended && !IsOver(refusedInARow))
        {
            try
            {
                await using var connection = await context.ConnectAsync(cancellationToken);
                refusedInARow = 0;
                await AskAsync(connection, cancellationToken);
            }
            catch (Exception exception) when (exception is SocketException or TlsFailedException)
            {
                refusedInARow++;
                _refused++;
            }

            await context.DelayAsync(Interval, cancellationToken);
        }
    }

    // A stop is over when nobody listens any more. A restart is over when peers have been served for a while.
    private bool IsOver(int refusedInARow) => stop.HasBegun &&
        (stop.Elapsed > StopMoment.Longest ||
        (kind == StopKind.Stop ? refusedInARow >= RefusedInARow : refusedInARow == 0 && stop.Elapsed > After));

    private async Task AskAsync(ProbeConnection connection, CancellationToken cancellationToken)
    {
        await connection.SendAsync(context.Profile.Request, cancellationToken);
        var begunBefore = context.ArrivesAtOnce && !stop.HasBegun;
        var isServed = await context.ReadReplyAsync(connection, before: 0, cancellationToken);
        if (isServed)
        {
            _served++;
            await connection.SendFinAsync();
            await connection.ReadToEndAsync(cancellationToken);
            if (connection.End == ServerEnd.Reset)
            {
                _faults.Add(Finding.Fail(Fault.UncleanEnd, "a whole reply, then RST"));
            }

            return;
        }

        var isReset = connection.End == ServerEnd.Reset || connection.IsTruncated;
        if (connection.ReceivedBytes > 0 || begunBefore)
        {
            _faults.Add(Finding.Fail(
                isReset ? Fault.LostBehindReset : Fault.LostBehindEnd,
                $"{connection.ReceivedBytes:N0} bytes of a reply, then {EndJudge.DescribeEnd(connection)}",
                lostBytes: Math.Max(1, context.Calibration.ReplyBytes - connection.ReceivedBytes)));
        }
        else if (isReset)
        {
            _resetAfter++; // What waits in the listening socket's queue is reset by the kernel when that socket closes.
        }
        else
        {
            _endedAfter++;
        }
    }
}
