using System.Globalization;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <content>The deadline and the end.</content>
internal sealed partial class Drain
{
    /// <summary>Says how the drain went. Called once, by whoever noticed the end.</summary>
    public void End()
    {
        _timer.Dispose();
        var aborted = _aborted.Values.OrderByDescending(static info => info.Age).ToArray();
        var report = _tally.ToReport(Elapsed, aborted, _left.Count);
        if (aborted.Length > 0)
        {
            Log.DrainAborted(_context.Logger, aborted.Length, _lostBytes, Holders.Describe(aborted, aborted.Length));
        }

        var outcomes = string.Join(
            ", ",
            report.Outcomes
                .OrderBy(static outcome => outcome.Key)
                .Select(static outcome => $"{outcome.Value} {outcome.Key}"));
        Log.DrainEnded(
            _context.Logger,
            _level,
            report.ConnectionCount,
            report.Duration.TotalSeconds,
            outcomes.Length > 0 ? outcomes : "none",
            report.DiscardedBytes,
            report.UnacknowledgedBytes);
        lock (_context.Lock)
        {
            // A coordinator remembers its last drains; the connections need not live as long.
            _order = [];
            _left.Clear();
            _aborted.Clear();
        }

        _context.Notifier.Notify(string.Create(
            CultureInfo.InvariantCulture,
            $"STATUS=Drained {report.ConnectionCount} connections in {report.Duration.TotalSeconds:0.0} s."));
        _ended.TrySetResult(report);
    }

    private void Abort(TrackedConnection[] connections)
    {
        if (connections.Length == 0)
        {
            return;
        }

        // Before: an aborted socket tells nothing.
        var infos = Array.ConvertAll(connections, static connection => connection.GetInfo());
        lock (_context.Lock)
        {
            for (var i = 0; i < connections.Length; i++)
            {
                if (!_over && _left.Contains(connections[i]))
                {
                    // One that joins right at the deadline is aborted by both who notice.
                    _aborted.TryAdd(connections[i], infos[i]);
                }
            }
        }

        foreach (var connection in connections)
        {
            connection.Abort(_reason);
        }
    }

    private void End(TrackedConnection[] unended)
    {
        foreach (var connection in unended)
        {
            // Without a result the abort is on its way: it waits for a thread, where handlers block all of them.
            var result = connection.Result ?? new CloseResult { Reason = _reason, Outcome = CloseOutcome.Aborted };
            _tally.Add(result);
            _lostBytes += result.UnacknowledgedBytes ?? 0;

            // Before the report: a host that stops exits with it.
            var id = connection.GetInfo().ConnectionId;
            if (_context.IsHostStopping)
            {
                Log.HandlerAbandoned(_context.Logger, id, HandlerGrace.TotalSeconds);
                connection.Abandon();
            }
            else
            {
                Log.HandlerIgnoresAbort(_context.Logger, id, HandlerGrace.TotalSeconds);
            }
        }

        End();
    }

    private bool TryEnd_NeedsLock()
    {
        if (!_started || _over || _left.Count > 0)
        {
            return false;
        }

        _over = true;
        return true;
    }

    private void NotifyServiceManager(int count, TimeSpan now)
    {
        var status = string.Create(
            CultureInfo.InvariantCulture, $"STATUS=Draining, {count} connections left after {now.TotalSeconds:0.0} s.");
        var remaining = Max(_deadline - now, TimeSpan.Zero) + ExitTime;
        _context.Notifier.Notify(
            _context.IsHostStopping ? $"{status}\n{SystemdNotifier.ExtendTimeout(remaining)}" : status);
    }
}
