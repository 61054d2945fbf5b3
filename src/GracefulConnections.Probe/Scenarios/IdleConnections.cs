using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>Many peers connect and say nothing.</summary>
internal sealed class IdleConnections() : Scenario(new ScenarioInfo(
    "3.3",
    "idle-connections",
    "Opens 1,000 connections (--connections), waits 2 s, asks on each of them, and ends each by FIN.",
    "Each gets its reply, then FIN.",
    "RFC 9293 3.6",
    "An end that costs a thread, a timer or a second is noticed only when many end at once."))
{
    private const int AtOnce = 64;
    private static readonly TimeSpan Idle = TimeSpan.FromSeconds(2);

    public override bool RunsAlone => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        var connections = new List<ProbeConnection?>(context.IdleConnections);
        try
        {
            while (connections.Count < context.IdleConnections)
            {
                var batch = Math.Min(AtOnce, context.IdleConnections - connections.Count);
                var connecting = Enumerable.Range(0, batch)
                    .Select(_ => context.ConnectAsync(cancellationToken, windowBytes: 0)).ToList();
                await Task.WhenAll(connecting).ContinueWith(static _ => { }, TaskScheduler.Default);
                cancellationToken.ThrowIfCancellationRequested();
                connections.AddRange(connecting.Where(one => one.IsCompletedSuccessfully).Select(one => one.Result));
                if (connecting.FirstOrDefault(one => !one.IsCompletedSuccessfully) is { } refused)
                {
                    return Refuse(connections.Count, refused.Exception!.GetBaseException().Message);
                }
            }

            await context.DelayAsync(Idle, cancellationToken);
            var findings = new Finding[connections.Count];
            await Parallel.ForAsync(0, connections.Count, Options(cancellationToken), async (i, token) =>
            {
                findings[i] = await AskAndEndAsync(context, connections[i]!, token);
                connections[i] = null; // Each has a buffer by now, and there may be 10,000 of them.
            });
            return Sum(findings);
        }
        finally
        {
            foreach (var connection in connections.OfType<ProbeConnection>())
            {
                await connection.DisposeAsync();
            }
        }
    }

    private static ParallelOptions Options(CancellationToken cancellationToken) =>
        new() { MaxDegreeOfParallelism = AtOnce, CancellationToken = cancellationToken };

    private static Finding Refuse(int count, string message) => Finding.Skip(
        $"Only {count:N0} connections could be made ({message}). " +
        "The server or this machine has a limit. Give fewer by --connections.");

    private static async Task<Finding> AskAndEndAsync(
        ScenarioContext context, ProbeConnection connection, CancellationToken cancellationToken)
    {
        await using var ended = connection;

        // The server's own idle timeout or its limit on connections, and no loss: nothing had been asked.
        if (connection.End != ServerEnd.None ||
            await connection.ReadAsync(TimeSpan.Zero, cancellationToken) == ReadOutcome.Ended)
        {
            return Finding.Skip($"ended before anything was asked, by {EndJudge.DescribeEnd(connection)}");
        }

        await context.ExchangeAsync(connection, cancellationToken);
        await connection.SendFinAsync();
        var load = context.CreateLoad(requests: 1, withEnding: false);
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        return EndJudge.Judge(connection, load, context.Profile, waited);
    }

    private static Finding Sum(Finding[] findings)
    {
        var worst = Finding.Worst(findings);
        var same = findings.Count(finding => finding.Verdict == worst.Verdict && finding.Fault == worst.Fault);
        var seen = worst.Verdict == Verdict.Pass
            ? $"each of {same:N0}: {worst.Seen}"
            : $"{same:N0} of {findings.Length:N0}: {worst.Seen}";
        return worst with
        {
            Seen = seen,
            LostBytes = findings.Sum(finding => finding.LostBytes),
            Reason = worst.Verdict == Verdict.Skipped
                ? $"{same:N0} of {findings.Length:N0} connections were {worst.Reason}. " +
                    "The server has a limit. Give fewer by --connections."
                : worst.Reason,
        };
    }
}
