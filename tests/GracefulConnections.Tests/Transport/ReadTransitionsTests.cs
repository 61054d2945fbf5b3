using GracefulConnections.Transport;
using Outcome = (GracefulConnections.Transport.ReadStep Step, GracefulConnections.Transport.ReadState Next);

namespace GracefulConnections.Tests.Transport;

/// <summary>Every state with every event: each pair is described by exactly one row of the table.</summary>
public class ReadTransitionsTests
{
    private const long Epoch = 5;

    private static readonly ReadState[] States = [.. AllStates()];

    private static readonly Row[] Table =
    [
        // What the handler does.
        new(BeginRead, s => s.User is not (InputUser.None or InputUser.Holds), ReadStep.Fail, s => s),
        new(BeginRead, s => MayRead(s) && IsFree(s), ReadStep.Own, s => s.With(InnerUse.Call).With(InputUser.Reads)),
        new(BeginRead, s => MayRead(s) && !IsFree(s), ReadStep.Wait, s => s.With(InputUser.Waits)),
        new(BeginTryRead, s => s.User is not (InputUser.None or InputUser.Holds), ReadStep.Fail, s => s),
        new(BeginTryRead, s => MayRead(s) && IsFree(s), ReadStep.Own, s => s.With(InnerUse.Call).With(InputUser.Reads)),
        new(BeginTryRead, s => MayRead(s) && !IsFree(s), ReadStep.None, s => s),
        new(BeginAdvance, s => s.User == InputUser.Refused, ReadStep.None, s => s),
        new(BeginAdvance, s => s.User != InputUser.Refused && !MayRead(s), ReadStep.Fail, s => s),
        new(BeginAdvance, s => MayRead(s) && s.Inner != InnerUse.Free, ReadStep.Fail, s => s),
        new(BeginAdvance, s => MayRead(s) && s.Inner == InnerUse.Free, ReadStep.Own, s => s.With(InnerUse.Call)),
        new(Cancel, s => s.User < InputUser.Refused, ReadStep.Cancel, s => s.With(ReadFlags.HandlerCancel)),
        new(Cancel, s => s.User >= InputUser.Refused, ReadStep.None, s => s),

        // What others do.
        new(Pause, IsFree, ReadStep.Pause, s => s.With(ReadFlags.Paused)),
        new(Pause, s => !IsFree(s) && s.Inner != InnerUse.Pend, ReadStep.None, s => s.With(ReadFlags.PauseWanted)),
        new(Pause, s => s.Inner == InnerUse.Pend, ReadStep.Cancel, s => s.With(ReadFlags.PauseWanted | ReadFlags.OurCancel)),
        new(Refuse, s => !MayBeRefused(s), ReadStep.None, s => s),
        new(Refuse, s => MayBeRefused(s) && !IsLeftAtOnce(s), ReadStep.Wake, Refused),
        new(Refuse, s => MayBeRefused(s) && IsLeftAtOnce(s), ReadStep.Wake, s => Refused(s).With(ReadFlags.OurCancel)),
        new(Complete1, s => s.User >= InputUser.Completed, ReadStep.None, s => s),
        new(Complete1, s => s.User < InputUser.Completed && s.Inner == InnerUse.Free, ReadStep.Own, s => Completed(s).With(InnerUse.Call)),
        new(Complete1, s => s.User < InputUser.Completed && s.Inner != InnerUse.Free && !IsCancelledByEnd(s), ReadStep.None, Completed),
        new(Complete1, s => s.User < InputUser.Completed && IsCancelledByEnd(s), ReadStep.Cancel, s => Completed(s).With(ReadFlags.OurCancel)),
        new(Close, s => s.User == InputUser.Closed, ReadStep.None, s => s),
        new(Close, s => s.User < InputUser.Closed && s.Inner == InnerUse.Free, ReadStep.Own, s => Closed(s).With(InnerUse.Call)),
        new(Close, s => s.User < InputUser.Closed && s.Inner != InnerUse.Free && !IsCancelledByEnd(s), ReadStep.None, Closed),
        new(Close, s => s.User < InputUser.Closed && IsCancelledByEnd(s), ReadStep.Cancel, s => Closed(s).With(ReadFlags.OurCancel)),
        new(Discard, s => IsFree(s) && Discards(s.With(ReadFlags.DiscardDue)), ReadStep.Own, s => s.With(ReadFlags.DiscardDue).With(InnerUse.Call)),
        new(Discard, s => !(IsFree(s) && Discards(s.With(ReadFlags.DiscardDue))), ReadStep.None, s => s.With(ReadFlags.DiscardDue)),
        new(Stop, s => s.Inner != InnerUse.Pend, ReadStep.None, s => s.With(ReadFlags.Stopped)),
        new(Stop, s => s.Inner == InnerUse.Pend, ReadStep.Cancel, s => s.With(ReadFlags.Stopped | ReadFlags.OurCancel)),
        new(Ask, _ => true, ReadStep.None, s => s.With(ReadFlags.Asked)),
        new(Keep, _ => true, ReadStep.None, s => s.Without(ReadFlags.Asked)),

        // What the owner does.
        new(Suspend, s => IsCall(s) && !IsLeftAtOnceOrPaused(s), ReadStep.None, s => Parked(s).With(InnerUse.Pend)),
        new(Suspend, s => IsCall(s) && IsLeftAtOnceOrPaused(s), ReadStep.Cancel, s => Parked(s).With(InnerUse.Pend).With(ReadFlags.OurCancel)),
        new(Park, IsCall, ReadStep.Own, Parked),
        new(Completed, s => s.Inner == InnerUse.Pend, ReadStep.Own, s => s.With(InnerUse.Call).WithNextEpoch()),
        new(HandNews, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(HandNews, s => IsHandable(s) && !GrantsPause(s), ReadStep.Hand, s => s.With(InputUser.Holds).With(InnerUse.Free)),
        new(HandNews, s => IsHandable(s) && GrantsPause(s), ReadStep.Pause, s => Granted(s.With(InputUser.Holds))),
        new(HandCancelled, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(HandCancelled, s => IsHandable(s) && IsOurs(s), ReadStep.Read, s => s),
        new(HandCancelled, s => IsHandable(s) && !IsOurs(s) && !GrantsPause(s), ReadStep.Hand, s => s.With(InputUser.Holds).With(InnerUse.Free).Without(ReadFlags.HandlerCancel)),
        new(HandCancelled, s => IsHandable(s) && !IsOurs(s) && GrantsPause(s), ReadStep.Pause, s => Granted(s.With(InputUser.Holds)).Without(ReadFlags.HandlerCancel)),
        new(HandCancelledNews, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(HandCancelledNews, s => IsHandable(s) && !GrantsPause(s), ReadStep.Hand, s => s.With(InputUser.Holds).With(InnerUse.Free).Without(ReadFlags.HandlerCancel)),
        new(HandCancelledNews, s => IsHandable(s) && GrantsPause(s), ReadStep.Pause, s => Granted(s.With(InputUser.Holds)).Without(ReadFlags.HandlerCancel)),
        new(Fail, s => IsCall(s) && s.User < InputUser.Refused, ReadStep.Own, s => s.With(InputUser.None)),
        new(Fail, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(FailHeld, s => IsCall(s) && s.User < InputUser.Refused, ReadStep.Own, s => s.With(InputUser.Holds)),
        new(FailHeld, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(EndInput, IsCall, ReadStep.Own, s => s.With(ReadFlags.Over)),
        .. LeaveRows(Leave, s => s),
        .. LeaveRows(EndAdvance, s => s.User == InputUser.Holds ? s.With(InputUser.None) : s),
        .. LeaveRows(EndFailedAdvance, s => s),
        new(Resume, s => IsPaused(s) && s.Has(ReadFlags.PauseWanted), ReadStep.Pause, s => s.Without(ReadFlags.PauseWanted)),
        new(Resume, s => IsPaused(s) && !s.Has(ReadFlags.PauseWanted) && s.Inner == InnerUse.Free && IsDue(s), ReadStep.Own, s => s.Without(ReadFlags.Paused).With(InnerUse.Call)),
        new(Resume, s => IsPaused(s) && !s.Has(ReadFlags.PauseWanted) && !(s.Inner == InnerUse.Free && IsDue(s)), ReadStep.None, s => s.Without(ReadFlags.Paused)),
    ];

    private delegate Outcome Event(ReadState state);

    private static IEnumerable<Event> Events => Table.Select(row => row.On).Distinct();

    // Only its owner may take the reader from Call, and only whoever completes a read from Pend.
    private static readonly Event[] OwnersEvents =
        [Suspend, Park, HandNews, HandCancelled, HandCancelledNews, Fail, FailHeld, EndInput, Leave, EndAdvance, EndFailedAdvance];

    [Fact]
    public void EveryStateAndEvent_IsDescribedByOneRow()
    {
        var pairs = 0;
        foreach (var @event in Events)
        {
            var rows = Table.Where(row => row.On == @event).ToArray();
            foreach (var state in States.Where(state => CanOccur(@event, state)))
            {
                var row = Assert.Single(rows, row => row.When(state));
                var found = @event(state);
                if (found != (row.Step, row.Next(state)))
                {
                    Assert.Fail($"{@event.Method.Name} in ({state}) is {found}, not {(row.Step, row.Next(state))}.");
                }

                pairs++;
            }
        }

        Assert.True(pairs > 500_000, $"{pairs}");
    }

    [Fact]
    public void EveryStateAndEvent_KeepsTheInvariants()
    {
        foreach (var @event in Events)
        {
            var isOwners = OwnersEvents.Contains(@event);
            foreach (var state in States.Where(state => CanOccur(@event, state)))
            {
                var (step, next) = @event(state);
                var isKept = isOwners || @event == Completed || state.Inner == InnerUse.Free || next.Inner == state.Inner;
                var isOwnedOnce = step != ReadStep.Own || (next.Inner == InnerUse.Call && (isOwners || state.Inner != InnerUse.Call));
                var isForward = state.User < InputUser.Refused || next.User >= state.User;
                var isUnchanged = step != ReadStep.Fail || next == state;
                var isCounted = next.Epoch == state.Epoch + (@event == Completed ? 1 : 0);
                var isSameKind = ((next.Flags ^ state.Flags) & (ReadFlags.Foreign | ReadFlags.Late)) == 0;
                var readsAlone = step is not (ReadStep.Read or ReadStep.Discard) || next.Inner == InnerUse.Call;
                var isNotInPause = step != ReadStep.Pause || next.Has(ReadFlags.Paused);
                if (!(isKept && isOwnedOnce && isForward && isUnchanged && isCounted && isSameKind && readsAlone && isNotInPause))
                {
                    Assert.Fail($"{@event.Method.Name} in ({state}) is {step}, ({next}).");
                }
            }
        }
    }

    [Fact]
    public void State_EveryPart_KeepsTheOthers()
    {
        foreach (var state in States)
        {
            Assert.Equal((state.Inner, state.User, state.Flags, Epoch), Parts(state));
            Assert.Equal((InnerUse.Pend, state.User, state.Flags, Epoch), Parts(state.With(InnerUse.Pend)));
            Assert.Equal((state.Inner, InputUser.Closed, state.Flags, Epoch), Parts(state.With(InputUser.Closed)));
            Assert.Equal((state.Inner, state.User, state.Flags, Epoch + 1), Parts(state.WithNextEpoch()));
        }
    }

    private static (InnerUse Inner, InputUser User, ReadFlags Flags, long Epoch) Parts(ReadState state) =>
        (state.Inner, state.User, state.Flags, state.Epoch);

    private static IEnumerable<ReadState> AllStates()
    {
        for (var flags = ReadFlags.None; flags < (ReadFlags)((int)ReadFlags.Late << 1); flags++)
        {
            foreach (var inner in Enum.GetValues<InnerUse>())
            {
                foreach (var user in Enum.GetValues<InputUser>())
                {
                    var state = default(ReadState).With(inner).With(user).With(flags);
                    for (var i = 0; i < Epoch; i++)
                    {
                        state = state.WithNextEpoch();
                    }

                    yield return state;
                }
            }
        }
    }

    private static bool CanOccur(Event @event, ReadState state) =>
        @event == Completed ? state.Inner == InnerUse.Pend
        : @event == Resume ? IsPaused(state)
        : @event == HandNews || @event == HandCancelled || @event == HandCancelledNews ?
            IsCall(state) && (state.User >= InputUser.Refused || IsHandable(state))
        : !OwnersEvents.Contains(@event) || IsCall(state);

    private static IEnumerable<Row> LeaveRows(Event @event, Func<ReadState, ReadState> first) =>
    [
        new(@event, s => IsCall(s) && IsPaused(s), ReadStep.None, s => first(s).With(InnerUse.Free)),
        new(@event, s => IsCall(s) && GrantsPause(s), ReadStep.Pause, s => Granted(first(s))),
        new(@event, s => IsUndisturbed(s) && Discards(s), ReadStep.Discard, first),
        new(@event, s => IsUndisturbed(s) && IsDue(s) && !Discards(s), ReadStep.Read, first),
        new(@event, s => IsUndisturbed(s) && !IsDue(s), ReadStep.None, s => first(s).With(InnerUse.Free)),
    ];

    private static bool MayRead(ReadState s) => s.User is InputUser.None or InputUser.Holds;

    private static bool IsFree(ReadState s) => s.Inner == InnerUse.Free && !IsPaused(s);

    private static bool IsCall(ReadState s) => s.Inner == InnerUse.Call;

    private static bool IsPaused(ReadState s) => s.Has(ReadFlags.Paused);

    private static bool GrantsPause(ReadState s) => s.Has(ReadFlags.PauseWanted) && !IsPaused(s);

    private static bool IsUndisturbed(ReadState s) => IsCall(s) && !IsPaused(s) && !s.Has(ReadFlags.PauseWanted);

    private static bool IsHandable(ReadState s) =>
        IsCall(s) && s.User is InputUser.Reads or InputUser.Waits && IsCall(s) && !IsPaused(s);

    private static bool IsOurs(ReadState s) => s.Has(ReadFlags.OurCancel) && !s.Has(ReadFlags.HandlerCancel);

    private static bool IsDue(ReadState s) => Discards(s) || (s.User == InputUser.Waits && !s.Has(ReadFlags.Stopped));

    private static bool Discards(ReadState s) =>
        !s.Has(ReadFlags.Stopped) && !s.Has(ReadFlags.Over) && !s.Has(ReadFlags.Foreign)
        && (s.User is InputUser.Refused or InputUser.Completed || (s.User == InputUser.Closed && s.Has(ReadFlags.DiscardDue)));

    private static bool MayBeRefused(ReadState s) =>
        s.Inner == InnerUse.Pend && s.User == InputUser.Waits && s.Has(ReadFlags.Asked);

    private static bool IsLeftAtOnce(ReadState s) => s.Has(ReadFlags.Stopped) || s.Has(ReadFlags.Foreign);

    private static bool IsLeftAtOnceOrPaused(ReadState s) =>
        s.Has(ReadFlags.PauseWanted) || s.Has(ReadFlags.Stopped) || (s.User >= InputUser.Refused && s.Has(ReadFlags.Foreign));

    private static bool IsCancelledByEnd(ReadState s) => s.Inner == InnerUse.Pend && IsLeftAtOnce(s);

    private static ReadState Granted(ReadState s) =>
        s.With(InnerUse.Free).With(ReadFlags.Paused).Without(ReadFlags.PauseWanted);

    private static ReadState Parked(ReadState s) => s.User == InputUser.Reads ? s.With(InputUser.Waits) : s;

    private static ReadState Refused(ReadState s) => s.With(InputUser.Refused).With(ReadFlags.WasRefused | ReadFlags.CutOff);

    private static ReadState Completed(ReadState s) =>
        (s.User < InputUser.Refused ? s.With(ReadFlags.DiscardDue) : s).With(InputUser.Completed);

    private static ReadState Closed(ReadState s) =>
        (s.User < InputUser.Refused && !s.Has(ReadFlags.Late) ? s.With(ReadFlags.DiscardDue) : s).With(InputUser.Closed);

    private sealed record Row(Event On, Func<ReadState, bool> When, ReadStep Step, Func<ReadState, ReadState> Next);
}
