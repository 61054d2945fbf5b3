using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <content>The limits of time.</content>
internal sealed partial class Closer
{
    /// <summary>
    /// How long the peer must be quiet after everything was acknowledged, with <see cref="LingerUntil.OutputAcknowledged"/>.
    /// </summary>
    public static readonly TimeSpan QuietTail = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// How long an RST that tells of a missing part comes after the last ACK, so that the peer's program can read what came before
    /// it: some systems throw that away when the RST arrives.
    /// </summary>
    public static readonly TimeSpan ResetDelay = TimeSpan.FromSeconds(1);

    /// <summary>
    /// How much longer a peer gets that only seems to be silent, because something of it waits in the kernel or because this
    /// process did not run for a while.
    /// </summary>
    public static readonly TimeSpan Grace = TimeSpan.FromSeconds(1);

    // No kernel tells when an ACK arrives, so it is looked for: soon at first, as most come within a round trip, then ever less
    // often.
    private static readonly TimeSpan ShortestPoll = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestPoll = TimeSpan.FromMilliseconds(250);

    private TaskCompletionSource? _flushed; // Waits for a flush that was pending when the handler returned.
    private TimeSpan _progressAt; // While lingering: of the delivery.
    private TimeSpan _lastByteAt;
    private TimeSpan _lingerIdleTimeout = scope.Options.LingerIdleTimeout;
    private TimeSpan? _drainCap;
    private TimeSpan? _graceEnd;
    private TimeSpan? _acknowledgedAt;
    private TimeSpan _poll = ShortestPoll;
    private TimeSpan _dueAt = TimeSpan.MaxValue;
    private long _progress;
    private long _sentAtLook;
    private long _discardedBeforeFin;
    private bool _writeBlocked;
    private bool _finSent;
    private bool _allSent;
    private bool _peerFin;
    private bool _endsByReset;

    public override TimeSpan? Sweep(TimeSpan now)
    {
        var boundary = LookAtBoundary();
        TimeSpan next;
        lock (_lock)
        {
            next = _state switch
            {
                CloseState.Flushing => SweepFlushing_NeedsLock(now),
                CloseState.Lingering => SweepLingering_NeedsLock(now),
                CloseState.Open or CloseState.HalfClosed => Earliest(SweepOpen_NeedsLock(now), boundary),
                _ => TimeSpan.MaxValue,
            };
            _dueAt = next;
        }

        return Settle() ? null : next;
    }

    private static TimeSpan Earliest(TimeSpan a, TimeSpan b) => a < b ? a : b;

    private static TimeSpan Earliest(TimeSpan a, TimeSpan b, TimeSpan c) => Earliest(a, Earliest(b, c));

    private TimeSpan SweepOpen_NeedsLock(TimeSpan now)
    {
        var stalledAt = TimeSpan.MaxValue;
        var wasBlocked = _writeBlocked;
        _writeBlocked = _output.IsWriteBlocked;
        if (_writeBlocked)
        {
            // Bytes that left since then let the write go on, even if it is blocked again by now.
            if (!wasBlocked || _sentAtLook != _output.SentBytes)
            {
                _progressAt = now; // It blocked at some time since the last look: late by that, never early.
            }

            _sentAtLook = _output.SentBytes;
            NoteProgress_NeedsLock(_output.GetDelivery(), now);
            stalledAt = CloseSweeper.Add(_progressAt, scope.Options.FlushStallTimeout);
            if (now >= stalledAt)
            {
                Move_NeedsLock(CloseEvent.FlushStalled);
            }
        }
        else if (_flushed is not null)
        {
            _flushed.TrySetResult();
            _flushed = null;
        }

        var goodbyeDeadline = _goodbye?.Deadline ?? TimeSpan.MaxValue;
        if (now >= goodbyeDeadline)
        {
            _goodbye!.Expired.TrySetResult();
            goodbyeDeadline = TimeSpan.MaxValue;
        }

        var resetAt = _endsByReset ? SweepReset_NeedsLock(_output.GetDelivery(), now) : TimeSpan.MaxValue;
        return Earliest(NextPoll_NeedsLock(now), Earliest(stalledAt, resetAt), goodbyeDeadline);
    }

    private TimeSpan SweepFlushing_NeedsLock(TimeSpan now)
    {
        var delivery = _output.GetDelivery();
        if (delivery.IsDelivered && _finSent)
        {
            Linger_NeedsLock(delivery, now);
            return SweepLingering_NeedsLock(now);
        }

        if (delivery.IsReset)
        {
            Move_NeedsLock(CloseEvent.PeerReset);
        }
        else if (delivery.IsGone)
        {
            Move_NeedsLock(CloseEvent.Abort);
        }

        if (_endsByReset)
        {
            return SweepReset_NeedsLock(delivery, now);
        }

        NoteProgress_NeedsLock(delivery, now);
        var stalledAt = StalledAt();
        if (now >= stalledAt)
        {
            Move_NeedsLock(_output.CanHalfClose ? CloseEvent.FlushStalled : CloseEvent.LeftToServer);
        }

        // A peer that has vanished never acknowledges our FIN. It must not hold a drain for that alone.
        var deadAt = _drainCap is { } cap && delivery.IsOnlyFinMissing ? CloseSweeper.Add(_progressAt, cap) : TimeSpan.MaxValue;
        if (now >= deadAt)
        {
            Move_NeedsLock(CloseEvent.LingerSilent);
        }

        return Earliest(NextPoll_NeedsLock(now), stalledAt, deadAt);
    }

    // Everything before it was sent, and no FIN: behind the last ACK, and some time for the peer to read, comes our RST.
    private TimeSpan SweepReset_NeedsLock(in DeliveryStatus delivery, TimeSpan now)
    {
        NoteProgress_NeedsLock(delivery, now);
        if (_allSent && delivery.IsAllAcknowledged)
        {
            _acknowledgedAt ??= now;
            if (_peerFin || now >= _acknowledgedAt + ResetDelay)
            {
                Move_NeedsLock(CloseEvent.Abort);
            }

            return Earliest(NextPoll_NeedsLock(now), _acknowledgedAt.Value + ResetDelay);
        }

        var stalledAt = StalledAt();
        if (now >= stalledAt)
        {
            Move_NeedsLock(CloseEvent.FlushStalled);
        }

        return Earliest(NextPoll_NeedsLock(now), stalledAt);
    }

    // A flush that makes progress is not cut, however long it takes. CloseTimeout bounds one that makes none.
    private TimeSpan StalledAt() => Earliest(
        CloseSweeper.Add(_progressAt, scope.Options.FlushStallTimeout),
        CloseSweeper.Add(_progressAt, scope.Options.CloseTimeout));

    private TimeSpan SweepLingering_NeedsLock(TimeSpan now)
    {
        var silentAt = CloseSweeper.Add(_lastByteAt, _lingerIdleTimeout);
        var silence = CloseEvent.LingerSilent;
        if (scope.Options.LingerUntil == LingerUntil.OutputAcknowledged && _output.SeesAcknowledgements)
        {
            var quietAt = CloseSweeper.Add(_lastByteAt, QuietTail);
            if (quietAt <= silentAt)
            {
                silentAt = quietAt;
                silence = CloseEvent.QuietAfterDelivery;
            }
        }

        if (now >= silentAt && _graceEnd is null && (_input.IsBehind || now - _dueAt >= Grace))
        {
            // Not the peer is silent, we are late. A process that was starved or frozen must not take that for silence. Bytes that
            // no read returns, such as an urgent one, must not hold the connection for ever.
            _graceEnd = now + Grace;
        }

        silentAt = _graceEnd is { } graceEnd && graceEnd > silentAt ? graceEnd : silentAt;
        var tooLongAt = CloseSweeper.Add(_deliveredAt, scope.Options.CloseTimeout);
        ExpireFirst_NeedsLock(now, silentAt, silence, tooLongAt, CloseEvent.CloseTimeout);
        return Earliest(silentAt, tooLongAt);
    }

    private void LimitDiscard_NeedsLock()
    {
        if (_finSent
            && _state is CloseState.Flushing or CloseState.Lingering
            && _input.DiscardedBytes - _discardedBeforeFin > scope.Options.MaxLingerBytes)
        {
            Move_NeedsLock(CloseEvent.LingerLimitExceeded);
        }
    }

    private void NoteProgress_NeedsLock(in DeliveryStatus delivery, TimeSpan now)
    {
        if (delivery.Progress != _progress)
        {
            _progress = delivery.Progress;
            _progressAt = now;
        }
    }

    private TimeSpan NextPoll_NeedsLock(TimeSpan now)
    {
        var next = now + _poll;
        _poll = _poll + _poll < LongestPoll ? _poll + _poll : LongestPoll;
        return next;
    }

    private void ExpireFirst_NeedsLock(TimeSpan now, TimeSpan firstAt, CloseEvent first, TimeSpan secondAt, CloseEvent second)
    {
        if (now >= firstAt && firstAt <= secondAt)
        {
            Move_NeedsLock(first);
        }
        else if (now >= secondAt)
        {
            Move_NeedsLock(second);
        }
    }
}
