using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <content>How the handler's reading ends: by a close request, by the handler, or by its return.</content>
internal sealed partial class ReadPump
{
    // Where the kernel does not tell when it received something, bytes may be on their way from it to the reader.
    private static readonly TimeSpan SecondLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan LongestLook = TimeSpan.FromMilliseconds(250);

    private CancellationToken _closeRequested;
    private long _seenEpoch = -1; // That of the read which the first of two looks has seen.

    /// <summary>Gets whether a close request cancelled the handler's read.</summary>
    public bool IsRefused => State.Has(ReadFlags.WasRefused);

    /// <summary>
    /// Gets whether a close request cancelled the handler's read before it had answered what it read last, so that a
    /// part of the peer's message may be missing.
    /// </summary>
    public bool IsCutOff => State.Has(ReadFlags.CutOff);

    /// <summary>
    /// Lets a close request cancel the handler's read, at a moment that <see cref="TryRefuse"/> finds.
    /// </summary>
    /// <param name="closeRequested">The token of the exception that the handler gets.</param>
    public void Ask(CancellationToken closeRequested)
    {
        _closeRequested = closeRequested;
        Move(ReadTransitions.Ask, out _);
    }

    /// <summary>Takes <see cref="Ask"/> back, unless a read was cancelled.</summary>
    public void Keep() => Move(ReadTransitions.Keep, out _);

    /// <summary>Cancels the handler's read if this is no middle of a message.</summary>
    /// <param name="habit">How the handler has behaved so far.</param>
    /// <param name="limits">How long silence must last.</param>
    /// <param name="sinceRequest">How long ago the close was requested.</param>
    /// <returns>
    /// When to look again; <see langword="null"/> when a read was cancelled, and when the handler does not wait: then
    /// <see cref="ITransportEvents.OnWaiting"/> tells.
    /// </returns>
    public TimeSpan? TryRefuse(in Habit habit, in BoundaryLimits limits, TimeSpan sinceRequest)
    {
        var seen = State;
        var isCutOff = habit is { IsUnanswered: true, UsesScopes: false };
        if (Volatile.Read(ref _bufferedBytes) != 0
            || ReadTransitions.Refuse(seen, seen.Epoch, isCutOff, out _) == ReadStep.None)
        {
            return null;
        }

        // The kernel first, and then whether the read has completed: bytes go from the one to the other.
        if (_probe?.GetUnreadLength() > 0)
        {
            return LongestLook;
        }

        var received = _probe?.SinceReceived();
        var ofPeer = _activity.PeerSilence;
        var silence = new Silence(received < ofPeer ? received.Value : ofPeer, _activity.HandlerSilence, sinceRequest);
        var wait = BoundaryRule.GetWait(habit, silence, limits);
        if (wait > TimeSpan.Zero)
        {
            return wait;
        }

        if (HasReadCompleted())
        {
            return null;
        }

        // A peer that sends all the time never leaves the same wait for the second look, so an old request does
        // without.
        var epoch = seen.Epoch;
        if (received is null
            && Interlocked.Exchange(ref _seenEpoch, epoch) != epoch
            && sinceRequest < limits.MessageGap)
        {
            return SecondLook;
        }

        seen = State;
        ReadState next;
        do
        {
            if (ReadTransitions.Refuse(seen, epoch, isCutOff, out next) == ReadStep.None)
            {
                return null;
            }
        }
        while (!TryMove(ref seen, next)); // The pending read is the discard's first.

        _activity.IsReadPending = false;
        Handler.EndLater(InputErrors.CreateRefused(_closeRequested));
        if (next.MustLeave)
        {
            CancelLater();
        }

        return null;
    }

    /// <summary>
    /// The peer's reset was noticed, perhaps by a send. The abort that follows must not look like ours: the handler's
    /// read fails as if the read had noticed it.
    /// </summary>
    public void OnPeerReset() => _end.OnPeerReset();

    /// <summary>
    /// The handler has returned: from now on what the peer sends is discarded, so that it is never blocked by a full
    /// window. With TLS only from <see cref="Discard()"/> on: a read that waits there would have to be cancelled for
    /// close_notify, which costs more than all the rest of a close.
    /// </summary>
    public void Close() => EndServing(InputUser.Closed);

    /// <summary>Begins with what <see cref="Close"/> has left for later, if anything.</summary>
    public void Discard() => Carry(Move(ReadTransitions.Discard, out var now), now);

    private void EndServing(InputUser end)
    {
        var seen = State;
        ReadStep step;
        ReadState next;
        do
        {
            step = ReadTransitions.End(seen, end, out next);
        }
        while (!TryMove(ref seen, next));

        if (!seen.IsGone)
        {
            _activity.IsReadPending = false;
        }

        if (seen.User == InputUser.Waits)
        {
            Handler.EndLater(InputErrors.CreateEnded(end));
        }

        if (step != ReadStep.Own || seen.User != InputUser.Holds || TryGiveBack(_result))
        {
            Carry(step, next);
        }
    }

    private bool HasReadCompleted()
    {
        Interleaving.Point();
        try
        {
            return _read.IsCompleted;
        }
        catch (InvalidOperationException)
        {
            return true; // Its result was taken this very moment, and we are about to be told.
        }
    }
}
