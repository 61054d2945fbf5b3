namespace GracefulConnections.Transport;

/// <summary>
/// The changes of <see cref="ReadState"/>: each a pure function of the state, so that the caller can try it again when
/// another thread came first. What is left to do stands in the <see cref="ReadStep"/>, and is done after the exchange.
/// </summary>
internal static class ReadTransitions
{
    /// <summary>The handler begins a read.</summary>
    public static ReadStep BeginRead(ReadState state, out ReadState next)
    {
        next = state;
        if (state.User is not (InputUser.None or InputUser.Holds))
        {
            return ReadStep.Fail;
        }

        if (state.IsLeft)
        {
            next = state.With(InnerUse.Call).With(InputUser.Waits);
            return ReadStep.Own;
        }

        next = state.With(InputUser.Waits); // Whoever does something between two reads reads for the handler then.
        return ReadStep.Wait;
    }

    /// <summary>The handler begins a read that does not wait.</summary>
    public static ReadStep BeginTryRead(ReadState state, out ReadState next)
    {
        var step = BeginRead(state, out next);
        next = step == ReadStep.Own ? next.With(InputUser.Reads) : state;
        return step == ReadStep.Wait ? ReadStep.None : step;
    }

    /// <summary>The owner's read is pending.</summary>
    public static ReadStep Suspend(ReadState state, out ReadState next)
    {
        next = state.With(InnerUse.Pend);
        return CancelIf(state.MustLeave || state.Has(ReadFlags.PauseWanted), ref next);
    }

    /// <summary>The pending read has completed.</summary>
    public static ReadStep Complete(ReadState state, out ReadState next)
    {
        next = state.With(InnerUse.Call).WithNextEpoch();
        return ReadStep.Own;
    }

    /// <summary>Returns whether a read was cancelled by the library and not by the handler.</summary>
    public static bool IsCancelOurs(ReadState state) =>
        state.Has(ReadFlags.OurCancel) && !state.Has(ReadFlags.HandlerCancel);

    /// <summary>The owner has a result for the handler.</summary>
    /// <param name="state">The state before.</param>
    /// <param name="isCanceled">Whether the read was cancelled.</param>
    /// <param name="hasNews">Whether anything beside that makes the handler's read complete.</param>
    /// <param name="next">The state after.</param>
    /// <returns>
    /// <see cref="ReadStep.Hand"/> or <see cref="ReadStep.Pause"/> when the handler gets it; <see
    /// cref="ReadStep.Read"/> when it says nothing to the handler; <see cref="ReadStep.Discard"/> when the handler gets
    /// nothing any more.
    /// </returns>
    public static ReadStep Hand(ReadState state, bool isCanceled, bool hasNews, out ReadState next)
    {
        next = state;
        if (state.IsGone)
        {
            return ReadStep.Discard;
        }

        if (isCanceled && !hasNews && IsCancelOurs(state))
        {
            return ReadStep.Read;
        }

        next = state.With(InputUser.Holds);
        if (isCanceled)
        {
            next = next.Without(ReadFlags.HandlerCancel);
        }

        return Leave(next, out next) == ReadStep.Pause ? ReadStep.Pause : ReadStep.Hand;
    }

    /// <summary>The owner's read has failed, and the handler, which may hold a buffer, is to be told.</summary>
    /// <returns><see cref="ReadStep.Discard"/> when there is nobody to tell.</returns>
    public static ReadStep Fail(ReadState state, bool held, out ReadState next)
    {
        next = state.IsGone ? state : state.With(held ? InputUser.Holds : InputUser.None);
        return state.IsGone ? ReadStep.Discard : ReadStep.Own;
    }

    /// <summary>The handler gives a buffer back.</summary>
    public static ReadStep BeginAdvance(ReadState state, out ReadState next)
    {
        next = state;
        if (state.User == InputUser.Refused)
        {
            return ReadStep.None;
        }

        // A pause does not forbid it: to give a buffer back is no read.
        if (state.User is not (InputUser.None or InputUser.Holds) || state.Inner != InnerUse.Free)
        {
            return ReadStep.Fail;
        }

        next = state.With(InnerUse.Call);
        return ReadStep.Own;
    }

    /// <summary>The owner has tried to give the handler's buffer back.</summary>
    public static ReadStep EndAdvance(ReadState state, bool given, out ReadState next) =>
        Leave(given && state.User == InputUser.Holds ? state.With(InputUser.None) : state, out next);

    /// <summary>The owner has done its part.</summary>
    public static ReadStep Leave(ReadState state, out ReadState next)
    {
        next = state;
        if (!state.Has(ReadFlags.Paused | ReadFlags.PauseWanted))
        {
            var due = GetDue(state);
            next = due == ReadStep.None ? state.With(InnerUse.Free) : state;
            return due;
        }

        next = state.With(InnerUse.Free);
        if (state.Has(ReadFlags.Paused))
        {
            return ReadStep.None; // Whoever paused does what is due when it resumes.
        }

        next = next.Without(ReadFlags.PauseWanted).With(ReadFlags.Paused);
        return ReadStep.Pause;
    }

    /// <summary>Somebody wants to do something while no read is under way.</summary>
    public static ReadStep Pause(ReadState state, out ReadState next)
    {
        if (state.IsLeft)
        {
            next = state.With(ReadFlags.Paused);
            return ReadStep.Pause;
        }

        next = state.With(ReadFlags.PauseWanted);
        return CancelIf(state.Inner == InnerUse.Pend, ref next);
    }

    /// <summary>What was to be done while no read is under way is done.</summary>
    public static ReadStep Resume(ReadState state, out ReadState next)
    {
        if (state.Has(ReadFlags.PauseWanted))
        {
            next = state.Without(ReadFlags.PauseWanted); // More came meanwhile.
            return ReadStep.Pause;
        }

        next = state.Without(ReadFlags.Paused);
        if (!next.IsLeft || GetDue(next) == ReadStep.None)
        {
            return ReadStep.None;
        }

        next = next.With(InnerUse.Call);
        return ReadStep.Own;
    }

    /// <summary>The handler cancels its read.</summary>
    public static ReadStep Cancel(ReadState state, out ReadState next)
    {
        next = state.IsGone ? state : state.With(ReadFlags.HandlerCancel);
        return state.IsGone ? ReadStep.None : ReadStep.Cancel;
    }

    /// <summary>The next read is to return what is there, although all of it was examined.</summary>
    public static ReadStep ShowAgain(ReadState state, out ReadState next)
    {
        next = state;
        return CancelIf(state.User == InputUser.None, ref next);
    }

    /// <summary>A close request cancels the handler's read, unless that of another epoch is pending by now.</summary>
    public static ReadStep Refuse(ReadState state, long epoch, bool isCutOff, out ReadState next)
    {
        next = state;
        if (state is not { Inner: InnerUse.Pend, User: InputUser.Waits }
            || !state.Has(ReadFlags.Asked)
            || state.Epoch != epoch)
        {
            return ReadStep.None;
        }

        next = state.With(InputUser.Refused).With(ReadFlags.WasRefused);
        next = isCutOff ? next.With(ReadFlags.CutOff) : next;
        CancelIf(next.MustLeave, ref next);
        return ReadStep.Wake;
    }

    /// <summary>The handler gets nothing any more, because it has completed the reader or returned.</summary>
    public static ReadStep End(ReadState state, InputUser end, out ReadState next)
    {
        next = state;
        if (state.User >= end)
        {
            return ReadStep.None;
        }

        next = state.With(end);
        if (!state.IsGone && (end == InputUser.Completed || !state.Has(ReadFlags.Late)))
        {
            next = next.With(ReadFlags.DiscardDue);
        }

        if (state.Inner != InnerUse.Free)
        {
            return CancelIf(state.Inner == InnerUse.Pend && next.MustLeave, ref next);
        }

        next = next.With(InnerUse.Call); // To give a buffer back, although somebody may have paused.
        return ReadStep.Own;
    }

    /// <summary>Another middleware may read on with the reader, which is foreign from now on.</summary>
    public static ReadStep Share(ReadState state, out ReadState next)
    {
        next = state.With(ReadFlags.Foreign);
        return ReadStep.None;
    }

    /// <summary>What the peer sends may be discarded from now on.</summary>
    public static ReadStep Discard(ReadState state, out ReadState next)
    {
        next = state.With(ReadFlags.DiscardDue);
        if (!next.IsLeft || !next.IsDiscarding)
        {
            return ReadStep.None;
        }

        next = next.With(InnerUse.Call);
        return ReadStep.Own;
    }

    /// <summary>No read may begin any more.</summary>
    public static ReadStep Stop(ReadState state, out ReadState next)
    {
        next = state.With(ReadFlags.Stopped);
        return CancelIf(state.Inner == InnerUse.Pend, ref next);
    }

    /// <summary>The input has ended, or failed, while it was discarded.</summary>
    public static ReadStep EndInput(ReadState state, out ReadState next)
    {
        next = state.With(ReadFlags.Over);
        return ReadStep.Own;
    }

    /// <summary>A close was requested, and may cancel the handler's read.</summary>
    public static ReadStep Ask(ReadState state, out ReadState next)
    {
        next = state.With(ReadFlags.Asked);
        return ReadStep.None;
    }

    /// <summary>It may not any more.</summary>
    public static ReadStep Keep(ReadState state, out ReadState next)
    {
        next = state.Without(ReadFlags.Asked);
        return ReadStep.None;
    }

    private static ReadStep GetDue(ReadState state) =>
        state.IsDiscarding ? ReadStep.Discard
        : state.User == InputUser.Waits && !state.Has(ReadFlags.Stopped) ? ReadStep.Read
        : ReadStep.None;

    private static ReadStep CancelIf(bool mustCancel, ref ReadState next)
    {
        if (!mustCancel)
        {
            return ReadStep.None;
        }

        next = next.With(ReadFlags.OurCancel);
        return ReadStep.Cancel;
    }
}
