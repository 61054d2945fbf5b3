using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// Watches an open connection's age and silence, and a half-open one for a reset that nothing else would notice: that
/// is looked for, and acted on, by <c>isOver</c>.
/// </summary>
internal sealed class LifetimeLimits(
    string connectionId,
    CloseScope scope,
    ConnectionTransport transport,
    Action<CloseReason> requestClose,
    Func<bool>? isOver)
    : WheelTarget
{
    private static readonly TimeSpan LongestPoll = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestAge = TimeSpan.MaxValue / 2; // Jitter can make it almost twice as long.

    private readonly TimeSpan? _idleTimeout = scope.Options.IdleTimeout;
    private readonly TimeSpan _poll = Earlier(scope.Options.IdleTimeout / 10 ?? LongestPoll, LongestPoll);
    private TimeSpan _oldAt;
    private TimeSpan _idleSince;
    private TimeSpan _lookedAt;
    private bool _hadGrace;
    private bool _isRequested;
    private (long Received, long Sent, long Acknowledged) _progress;

    private TimeSpan IdleAt => _idleTimeout is { } timeout ? TimerWheel.Add(_idleSince, timeout) : TimeSpan.MaxValue;

    public static bool IsNeeded(GracefulCloseOptions options) =>
        options.IdleTimeout is not null || options.MaxConnectionAge is not null || options.AllowHalfOpen;

    public void Start()
    {
        var jitter = scope.Options.MaxConnectionAgeJitter * ((2 * Random.Shared.NextDouble()) - 1);
        _idleSince = _lookedAt = scope.Wheel.Now;
        _progress = GetProgress();
        _oldAt = scope.Options.MaxConnectionAge is { } age
            ? TimerWheel.Add(_lookedAt, Earlier(age, LongestAge) * (1 + jitter))
            : TimeSpan.MaxValue;
        scope.Wheel.Watch(this, Next(_lookedAt));
    }

    public void Stop() => scope.Wheel.Unwatch(this);

    public override TimeSpan? Look(TimeSpan now)
    {
        NoteProgress(now);
        if (isOver?.Invoke() == true)
        {
            return null;
        }

        if (now >= _oldAt || now >= IdleAt)
        {
            Request(now >= _oldAt ? CloseReason.MaxConnectionAge : CloseReason.IdleTimeout);
        }

        _lookedAt = now;
        return _isRequested && isOver is null ? null : Next(now);
    }

    public override void OnLookFailed(Exception exception)
    {
        Log.LookFailed(scope.Logger, connectionId, exception);
        Request(CloseReason.Application); // Nobody watches its limits any more.
    }

    private static TimeSpan Earlier(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private void NoteProgress(TimeSpan now)
    {
        var progress = GetProgress();
        if (progress != _progress || !transport.Input.IsWaiting)
        {
            _progress = progress; // A handler that does not wait for its peer is busy.
            _idleSince = now;
            _hadGrace = false;
        }
        else if (now >= IdleAt
            && !_hadGrace
            && (now - _lookedAt >= _poll + CloseDeadlines.Grace || transport.Input.IsBehind))
        {
            // A process that was starved or frozen must not take its own absence for the peer's silence. What the peer
            // sent meanwhile is still in the kernel, or on its way to the handler.
            _hadGrace = true;
            _idleSince = now - _idleTimeout!.Value + CloseDeadlines.Grace;
        }
    }

    // Acknowledged bytes count too: a peer that takes its time to fetch a long reply is not idle.
    private (long Received, long Sent, long Acknowledged) GetProgress() =>
        (transport.Input.ReceivedBytes, transport.Output.SentBytes, transport.Output.GetDelivery().Progress);

    // On the thread pool: the callbacks of a close-request token are the application's, and other deadlines wait for
    // this thread.
    private void Request(CloseReason reason)
    {
        if (!_isRequested)
        {
            _isRequested = true;
            ThreadPool.UnsafeQueueUserWorkItem(
                static state => state.requestClose(state.reason), (requestClose, reason), preferLocal: false);
        }
    }

    private TimeSpan Next(TimeSpan now)
    {
        var next = _isRequested ? TimeSpan.MaxValue : Earlier(_oldAt, IdleAt);
        return _idleTimeout is null && isOver is null ? next : Earlier(next, TimerWheel.Add(now, _poll));
    }
}
