using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// Watches an open connection's age and silence, and a half-open one for a reset that nothing else would notice.
/// </summary>
internal sealed class LifetimeLimits : WheelTarget
{
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestAge = TimeSpan.MaxValue / 2; // Jitter can make it almost twice as long.

    private readonly string _connectionId;
    private readonly CloseScope _scope;
    private readonly ConnectionTransport _transport;
    private readonly TimeSpan? _idleTimeout;
    private readonly TimeSpan _poll;
    private readonly TimeSpan _oldAt;
    private readonly Action<CloseReason> _requestClose;
    private readonly Func<bool>? _isOver;
    private TimeSpan _idleSince;
    private TimeSpan _lookedAt;
    private bool _hadGrace;
    private bool _isRequested;
    private (long Received, long Sent, long Acknowledged) _progress;

    /// <param name="connectionId">The connection, for the log.</param>
    /// <param name="scope">The endpoint.</param>
    /// <param name="transport">The connection's two directions.</param>
    /// <param name="requestClose">Called on the thread pool when a limit is reached.</param>
    /// <param name="isOver">
    /// Looks whether a half-open connection was reset, and acts on it; <see langword="null"/> when that is of no
    /// interest.
    /// </param>
    public LifetimeLimits(
        string connectionId,
        CloseScope scope,
        ConnectionTransport transport,
        Action<CloseReason> requestClose,
        Func<bool>? isOver)
    {
        _connectionId = connectionId;
        _scope = scope;
        _transport = transport;
        _requestClose = requestClose;
        _isOver = isOver;
        _idleTimeout = scope.Options.IdleTimeout;
        _poll = Earlier(_idleTimeout / 10 ?? LongestPoll, LongestPoll);
        _idleSince = scope.Wheel.Now;
        _lookedAt = _idleSince;
        _progress = GetProgress();
        var jitter = scope.Options.MaxConnectionAgeJitter * ((2 * Random.Shared.NextDouble()) - 1);
        _oldAt = scope.Options.MaxConnectionAge is { } age
            ? TimerWheel.Add(_idleSince, Earlier(age, LongestAge) * (1 + jitter))
            : TimeSpan.MaxValue;
    }

    private TimeSpan IdleAt => _idleTimeout is { } timeout ? TimerWheel.Add(_idleSince, timeout) : TimeSpan.MaxValue;

    public static bool IsNeeded(GracefulCloseOptions options) =>
        options.IdleTimeout is not null || options.MaxConnectionAge is not null || options.AllowHalfOpen;

    public void Start() => _scope.Wheel.Watch(this, Next(_lookedAt));

    public void Stop() => _scope.Wheel.Unwatch(this);

    public override TimeSpan? Look(TimeSpan now)
    {
        NoteProgress(now);
        if (_isOver?.Invoke() == true)
        {
            return null;
        }

        if (now >= _oldAt || now >= IdleAt)
        {
            Request(now >= _oldAt ? CloseReason.MaxConnectionAge : CloseReason.IdleTimeout);
        }

        _lookedAt = now;
        return _isRequested && _isOver is null ? null : Next(now);
    }

    public override void OnLookFailed(Exception exception)
    {
        Log.LookFailed(_scope.Logger, _connectionId, exception);
        Request(CloseReason.Application); // Nobody watches its limits any more.
    }

    private static TimeSpan Earlier(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private void NoteProgress(TimeSpan now)
    {
        var progress = GetProgress();
        if (progress != _progress || !_transport.Input.IsWaiting)
        {
            _progress = progress; // A handler that does not wait for its peer is busy.
            _idleSince = now;
            _hadGrace = false;
        }
        else if (now >= IdleAt
            && !_hadGrace
            && (now - _lookedAt >= _poll + CloseDeadlines.Grace || _transport.Input.IsBehind))
        {
            // A process that was starved or frozen must not take its own absence for the peer's silence. What the peer
            // sent meanwhile is still in the kernel, or on its way to the handler.
            _hadGrace = true;
            _idleSince = now - _idleTimeout!.Value + CloseDeadlines.Grace;
        }
    }

    // Acknowledged bytes count too: a peer that takes its time to fetch a long reply is not idle.
    private (long Received, long Sent, long Acknowledged) GetProgress() =>
        (_transport.Input.ReceivedBytes, _transport.Output.SentBytes, _transport.Output.GetDelivery().Progress);

    // On the thread pool: the callbacks of a close-request token are the application's, and other deadlines wait for
    // this thread.
    private void Request(CloseReason reason)
    {
        if (!_isRequested)
        {
            _isRequested = true;
            ThreadPool.UnsafeQueueUserWorkItem(
                static state => state._requestClose(state.reason), (_requestClose, reason), preferLocal: false);
        }
    }

    private TimeSpan Next(TimeSpan now)
    {
        var next = _isRequested ? TimeSpan.MaxValue : Earlier(_oldAt, IdleAt);
        return _idleTimeout is null && _isOver is null ? next : Earlier(next, TimerWheel.Add(now, _poll));
    }
}
