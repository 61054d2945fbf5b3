using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Draining;

/// <content>How the stop of the server begins.</content>
internal sealed partial class DrainCoordinator
{
    /// <summary>
    /// Announces the drain of the whole server, once, and waits until the announcement's delay is over.
    /// </summary>
    public Task AnnounceAsync()
    {
        lock (_context.Lock)
        {
            if (_announcement is not null)
            {
                return _announcement.Task;
            }

            _announcement = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        return AnnounceOnceAsync(_announcement);
    }

    /// <summary>
    /// From now on the process is about to exit: a handler that ignores its abort may be left behind.
    /// </summary>
    public void OnHostStopping() => _context.IsHostStopping = true;

    /// <summary>The announcement is over: what the server asks from now on is its stop.</summary>
    public void OnServerStopping()
    {
        var connections = GetTracked();
        // Outside the lock: it takes each connection's own.
        var isOver = Array.ConvertAll(connections, static connection => connection.Result is not null);
        Drain? ignored = null;
        Drain? rest = null;
        lock (_context.Lock)
        {
            _serverStops = true;
            _serverStopsAt = _context.Time.GetTimestamp();
            if (_whole?.IsOver_NeedsLock != true)
            {
                return;
            }

            // A drain while the server went on serving has ended before. What is left are handlers that ignored its
            // abort, and need not be waited for again, and connections that came later.
            for (var i = 0; i < connections.Length; i++)
            {
                if (_connections.Contains(connections[i]))
                {
                    var drain = isOver[i]
                        ? ignored ??= CreateDrain_NeedsLock(
                            CloseReason.HostStopping, TimeSpan.Zero, TimeSpan.Zero, LogLevel.Debug)
                        : rest ??= CreateLate_NeedsLock();
                    drain.Join_NeedsLock(connections[i]);
                }
            }
        }

        ignored?.Start();
        rest?.Start();
    }

    private async Task AnnounceOnceAsync(TaskCompletionSource announcement)
    {
        Log.DrainAnnounced(_context.Logger, ConnectionCount, _context.Options.AnnounceDelay.TotalSeconds);
        if (_context.IsHostStopping)
        {
            var remaining = new DrainBudget(_context.Options).Total;
            _context.Notifier.Notify(
                $"STATUS=Announced that the server stops, {ConnectionCount} connections.\n"
                + $"{SystemdNotifier.ExtendTimeout(remaining)}");
        }

        try
        {
            // Here and now: whoever stops producing on it has done so before the first connection is asked to close.
            _announced.Cancel();
        }
        catch (AggregateException exception)
        {
            Log.DrainCallbackFaulted(_context.Logger, exception);
        }

        await Task.Delay(_context.Options.AnnounceDelay, _context.Time, _hurry.Token)
            .ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        announcement.SetResult();
    }
}
