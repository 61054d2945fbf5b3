using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <content>What the batch tells of itself, in the order in which it happened.</content>
internal sealed partial class Batch
{
    private void ReportProgress(TimeSpan elapsed)
    {
        TrackedConnection[] left;
        TimeSpan rest;
        Interleaving.Point();
        lock (_context.Lock)
        {
            if (IsOver_NeedsLock)
            {
                return; // The end has been decided since, and its line is next.
            }

            left = [.. _left];
            rest = _timeout - elapsed;
        }

        var states = left.CountBy(static connection => connection.State);
        var oldest = left.OrderBy(static connection => connection.StartTimestamp).Take(Holders.NamedCount);
        TrackedConnectionInfo[] infos = [.. oldest.Select(connection => connection.GetInfo())];
        _context.Teller.Progress(Level, left.Length, states, infos, elapsed, rest, _context.GetExitTime(rest));
    }

    // After the end nothing changes the members, so this needs no lock.
    private void ReportEnd(TimeSpan duration, bool isHurried)
    {
        var isExiting = _context.IsHostStopping;
        foreach (var connection in _left)
        {
            // A handler ignored its abort. Where the process is about to exit, nobody waits for it.
            _context.Teller.HandlerUnended(connection.Id, BatchPlan.HandlerGrace, isExiting);
            if (isExiting)
            {
                connection.Abandon();
            }

            var info = connection.GetInfoBeforeAbort(this);
            var result = connection.Result ?? new CloseResult
            {
                Reason = _reason,
                Outcome = CloseOutcome.Aborted,
                UnacknowledgedBytes = info?.UnacknowledgedBytes,
            };
            _ends.Add((result, info));
        }

        var report = DrainReport.Create(duration, _ends, _left.Count);
        _turns = []; // The coordinator remembers its last batches; the connections need not live as long.
        _left.Clear();
        _joined.Clear();
        _context.Teller.Ended(Level, report, isHurried ? null : _timeout);
        _context.Telemetry.Ended(report, IsWhole);
        _ended.TrySetResult(report);
        _othersEnded.TrySetResult(report);
    }
}
