using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>Watches an open connection's age and silence, and a half-open one for a reset that nothing else would notice.</summary>
internal sealed class LifetimeLimits : Sweepable
{
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestAge = TimeSpan.MaxValue / 2; // Jitter can make it almost twice as long.

    private readonly ConnectionTransport _transport;
    private readonly CloseSweeper _sweeper;
    private readonly TimeSpan? _idleTimeout;
    private readonly TimeSpan _poll;
    private readonly TimeSpan _oldAt;
    private readonly Action<CloseReason> _requestClose;
    private readonly Func<bool>? _isOver;
    private TimeSpan _idleSince;
    private TimeSpan _lookedAt;
    private bool _hadGrace;
    private bool _requested;
    private (long Received, long Sent, long Acknowledged) _progress;

    /// <param name="scope">The endpoint.</param>
    /// <param name="transport">The connection's two directions.</param>
    /// <param name="requestClose">Called on the thread pool when a limit is reached.</param>
    /// <param name="isOver">Looks whether a half-open connection was reset, and acts on it; <see langword="null"/> when that is of no interest.</param>
    public LifetimeLimits(CloseScope scope, ConnectionTransport transport, Action<CloseReason> requestClose, Func<bool>? isOver)
    {
        _transport = transport;
        _sweeper = scope.OpenSweeper;
        _requestClose = requestClose;
        _isOver = isOver;
        _idleTimeout = scope.Options.IdleTimeout;
        var tenth = _idleTimeout / 10 ?? LongestPoll;
        _poll = tenth < LongestPoll ? tenth : LongestPoll;
        _idleSince = _sweeper.Now;
        _lookedAt = _idleSince;
        _progress = GetProgress();
        var jitter = scope.Options.MaxConnectionAgeJitter * ((2 * Random.Shared.NextDouble()) - 1);
        _oldAt = scope.Options.MaxConnectionAge is { } age ? CloseSweeper.Add(_idleSince, Min(age, LongestAge) * (1 + jitter)) : TimeSpan.MaxValue;
    }

    public static bool IsNeeded(GracefulCloseOptions options) => options.IdleTimeout is not null || options.MaxConnectionAge is not null || options.AllowHalfOpen;

    public void Start() => _sweeper.Watch(this, Next(_sweeper.Now));

    public void Stop() => _sweeper.Unwatch(this);

    public override TimeSpan? Sweep(TimeSpan now)
    {
        NoteProgress(now);
        if (_isOver?.Invoke() == true)
        {
            return null;
        }

        if (now >= _oldAt)
        {
            Request(CloseReason.MaxConnectionAge);
        }
        else if (_idleTimeout is { } idleTimeout && now >= CloseSweeper.Add(_idleSince, idleTimeout))
        {
            Request(CloseReason.IdleTimeout);
        }

        _lookedAt = now;
        return _requested && _isOver is null ? null : Next(now);
    }

    private void NoteProgress(TimeSpan now)
    {
        var progress = GetProgress();
        if (progress != _progress || !_transport.Input.IsWaiting)
        {
            _progress = progress; // A handler that does not wait for its peer is busy.
            _idleSince = now;
            _hadGrace = false;
            return;
        }

        // A process that was starved or frozen must not take its own absence for the peer's silence. What the peer sent meanwhile is
        // still in the kernel, or on its way to the handler.
        if (_idleTimeout is { } idleTimeout
            && now >= CloseSweeper.Add(_idleSince, idleTimeout)
            && !_hadGrace
            && (now - _lookedAt >= _poll + Closer.Grace || _transport.Input.IsBehind))
        {
            _hadGrace = true;
            _idleSince = now - idleTimeout + Closer.Grace;
        }
    }

    // Acknowledged bytes count too: a peer that takes its time to fetch a long reply is not idle.
    private (long Received, long Sent, long Acknowledged) GetProgress() =>
        (_transport.Input.ReceivedBytes, _transport.Output.SentBytes, _transport.Output.GetDelivery().Progress);

    // On the thread pool: the callbacks of a close-request token are the application's, and every other deadline waits for this thread.
    private void Request(CloseReason reason)
    {
        if (_requested)
        {
            return;
        }

        _requested = true;
        ThreadPool.UnsafeQueueUserWorkItem(static state => state._requestClose(state.reason), (_requestClose, reason), preferLocal: false);
    }

    private TimeSpan Next(TimeSpan now)
    {
        var next = _requested ? TimeSpan.MaxValue : _oldAt;
        if (!_requested && _idleTimeout is { } idleTimeout)
        {
            next = Min(next, CloseSweeper.Add(_idleSince, idleTimeout));
        }

        return _idleTimeout is null && _isOver is null ? next : Min(next, CloseSweeper.Add(now, _poll));
    }

    private static TimeSpan Min(TimeSpan a, TimeSpan b) => a < b ? a : b;
}
