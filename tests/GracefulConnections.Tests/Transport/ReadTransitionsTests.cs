using System.Runtime.CompilerServices;
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
        new(On.BeginRead, s => s.User is not (InputUser.None or InputUser.Holds), ReadStep.Fail, s => s),
        new(On.BeginRead, s => MayRead(s) && IsFree(s), ReadStep.Own, s => s.With(InnerUse.Call).With(InputUser.Waits)),
        new(On.BeginRead, s => MayRead(s) && !IsFree(s), ReadStep.Wait, s => s.With(InputUser.Waits)),
        new(On.BeginTryRead, s => s.User is not (InputUser.None or InputUser.Holds), ReadStep.Fail, s => s),
        new(On.BeginTryRead, s => MayRead(s) && IsFree(s), ReadStep.Own, s => s.With(InnerUse.Call).With(InputUser.Reads)),
        new(On.BeginTryRead, s => MayRead(s) && !IsFree(s), ReadStep.None, s => s),
        new(On.BeginAdvance, s => s.User == InputUser.Refused, ReadStep.None, s => s),
        new(On.BeginAdvance, s => s.User != InputUser.Refused && !MayRead(s), ReadStep.Fail, s => s),
        new(On.BeginAdvance, s => MayRead(s) && s.Inner != InnerUse.Free, ReadStep.Fail, s => s),
        new(On.BeginAdvance, s => MayRead(s) && s.Inner == InnerUse.Free, ReadStep.Own, s => s.With(InnerUse.Call)),
        new(On.Cancel, s => s.User < InputUser.Refused, ReadStep.Cancel, s => s.With(ReadFlags.HandlerCancel)),
        new(On.Cancel, s => s.User >= InputUser.Refused, ReadStep.None, s => s),

        // What others do.
        new(On.Pause, IsFree, ReadStep.Pause, s => s.With(ReadFlags.Paused)),
        new(On.Pause, s => !IsFree(s) && s.Inner != InnerUse.Pend, ReadStep.None, s => s.With(ReadFlags.PauseWanted)),
        new(On.Pause, s => s.Inner == InnerUse.Pend, ReadStep.Cancel, s => s.With(ReadFlags.PauseWanted | ReadFlags.OurCancel)),
        new(On.RefuseLate, _ => true, ReadStep.None, s => s),
        new(On.Refuse, s => !MayBeRefused(s), ReadStep.None, s => s),
        new(On.Refuse, s => MayBeRefused(s) && !IsLeftAtOnce(s), ReadStep.Wake, Refused),
        new(On.Refuse, s => MayBeRefused(s) && IsLeftAtOnce(s), ReadStep.Wake, s => Refused(s).With(ReadFlags.OurCancel)),
        new(On.Complete, s => s.User >= InputUser.Completed, ReadStep.None, s => s),
        new(On.Complete, s => s.User < InputUser.Completed && s.Inner == InnerUse.Free, ReadStep.Own, s => Completed(s).With(InnerUse.Call)),
        new(On.Complete, s => s.User < InputUser.Completed && s.Inner != InnerUse.Free && !IsCancelledByEnd(s), ReadStep.None, Completed),
        new(On.Complete, s => s.User < InputUser.Completed && IsCancelledByEnd(s), ReadStep.Cancel, s => Completed(s).With(ReadFlags.OurCancel)),
        new(On.Close, s => s.User == InputUser.Closed, ReadStep.None, s => s),
        new(On.Close, s => s.User < InputUser.Closed && s.Inner == InnerUse.Free, ReadStep.Own, s => Closed(s).With(InnerUse.Call)),
        new(On.Close, s => s.User < InputUser.Closed && s.Inner != InnerUse.Free && !IsCancelledByEnd(s), ReadStep.None, Closed),
        new(On.Close, s => s.User < InputUser.Closed && IsCancelledByEnd(s), ReadStep.Cancel, s => Closed(s).With(ReadFlags.OurCancel)),
        new(On.Discard, s => IsFree(s) && Discards(s.With(ReadFlags.DiscardDue)), ReadStep.Own, s => s.With(ReadFlags.DiscardDue).With(InnerUse.Call)),
        new(On.Discard, s => !(IsFree(s) && Discards(s.With(ReadFlags.DiscardDue))), ReadStep.None, s => s.With(ReadFlags.DiscardDue)),
        new(On.Stop, s => s.Inner != InnerUse.Pend, ReadStep.None, s => s.With(ReadFlags.Stopped)),
        new(On.Stop, s => s.Inner == InnerUse.Pend, ReadStep.Cancel, s => s.With(ReadFlags.Stopped | ReadFlags.OurCancel)),
        new(On.Ask, _ => true, ReadStep.None, s => s.With(ReadFlags.Asked)),
        new(On.Keep, _ => true, ReadStep.None, s => s.Without(ReadFlags.Asked)),
        new(On.Share, _ => true, ReadStep.None, s => s.With(ReadFlags.Foreign)),

        // What the owner does.
        new(On.Suspend, s => IsCall(s) && !IsLeftAtOnceOrPaused(s), ReadStep.None, s => s.With(InnerUse.Pend)),
        new(On.Suspend, s => IsCall(s) && IsLeftAtOnceOrPaused(s), ReadStep.Cancel, s => s.With(InnerUse.Pend).With(ReadFlags.OurCancel)),
        new(On.ReadCompleted, s => s.Inner == InnerUse.Pend, ReadStep.Own, s => s.With(InnerUse.Call).WithNextEpoch()),
        new(On.HandNews, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(On.HandNews, s => IsHandable(s) && !GrantsPause(s), ReadStep.Hand, s => s.With(InputUser.Holds).With(InnerUse.Free)),
        new(On.HandNews, s => IsHandable(s) && GrantsPause(s), ReadStep.Pause, s => Granted(s.With(InputUser.Holds))),
        new(On.HandCancelled, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(On.HandCancelled, s => IsHandable(s) && IsOurs(s), ReadStep.Read, s => s),
        new(On.HandCancelled, s => IsHandable(s) && !IsOurs(s) && !GrantsPause(s), ReadStep.Hand, s => s.With(InputUser.Holds).With(InnerUse.Free).Without(ReadFlags.HandlerCancel)),
        new(On.HandCancelled, s => IsHandable(s) && !IsOurs(s) && GrantsPause(s), ReadStep.Pause, s => Granted(s.With(InputUser.Holds)).Without(ReadFlags.HandlerCancel)),
        new(On.HandCancelledNews, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(On.HandCancelledNews, s => IsHandable(s) && !GrantsPause(s), ReadStep.Hand, s => s.With(InputUser.Holds).With(InnerUse.Free).Without(ReadFlags.HandlerCancel)),
        new(On.HandCancelledNews, s => IsHandable(s) && GrantsPause(s), ReadStep.Pause, s => Granted(s.With(InputUser.Holds)).Without(ReadFlags.HandlerCancel)),
        new(On.Fail, s => IsCall(s) && s.User < InputUser.Refused, ReadStep.Own, s => s.With(InputUser.None)),
        new(On.Fail, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(On.FailHeld, s => IsCall(s) && s.User < InputUser.Refused, ReadStep.Own, s => s.With(InputUser.Holds)),
        new(On.FailHeld, s => IsCall(s) && s.User >= InputUser.Refused, ReadStep.Discard, s => s),
        new(On.EndInput, IsCall, ReadStep.Own, s => s.With(ReadFlags.Over)),
        .. LeaveRows(On.Leave, s => s),
        .. LeaveRows(On.EndAdvance, s => s.User == InputUser.Holds ? s.With(InputUser.None) : s),
        .. LeaveRows(On.EndFailedAdvance, s => s),
        new(On.Resume, s => IsPaused(s) && s.Has(ReadFlags.PauseWanted), ReadStep.Pause, s => s.Without(ReadFlags.PauseWanted)),
        new(On.Resume, s => IsPaused(s) && !s.Has(ReadFlags.PauseWanted) && s.Inner == InnerUse.Free && IsDue(s), ReadStep.Own, s => s.Without(ReadFlags.Paused).With(InnerUse.Call)),
        new(On.Resume, s => IsPaused(s) && !s.Has(ReadFlags.PauseWanted) && !(s.Inner == InnerUse.Free && IsDue(s)), ReadStep.None, s => s.Without(ReadFlags.Paused)),
    ];

    private static IEnumerable<Event> Events => Table.Select(row => row.Event).Distinct();

    [Fact]
    public void EveryStateAndEvent_IsDescribedByOneRow()
    {
        var pairs = 0;
        foreach (var @event in Events)
        {
            var rows = Table.Where(row => row.Event == @event).ToArray();
            foreach (var state in States.Where(state => CanOccur(@event, state)))
            {
                var row = Assert.Single(rows, row => row.When(state));
                var found = @event.Run(state);
                if (found != (row.Step, row.Next(state)))
                {
                    Assert.Fail($"{@event.Name} in ({state}) is {found}, not {(row.Step, row.Next(state))}.");
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
            var isOwners = @event.IsOwners;
            foreach (var state in States.Where(state => CanOccur(@event, state)))
            {
                var (step, next) = @event.Run(state);
                var isKept = isOwners || @event == On.ReadCompleted || state.Inner == InnerUse.Free || next.Inner == state.Inner;
                var isOwnedOnce = step != ReadStep.Own || (next.Inner == InnerUse.Call && (isOwners || state.Inner != InnerUse.Call));
                var isForward = state.User < InputUser.Refused || next.User >= state.User;
                var isUnchanged = step != ReadStep.Fail || next == state;
                var isCounted = next.Epoch == state.Epoch + (@event == On.ReadCompleted ? 1 : 0);
                var isSameKind = ((next.Flags ^ state.Flags) & (@event == On.Share ? ReadFlags.Late : ReadFlags.Foreign | ReadFlags.Late)) == 0;
                var readsAlone = step is not (ReadStep.Read or ReadStep.Discard) || next.Inner == InnerUse.Call;
                var isNotInPause = step != ReadStep.Pause || next.Has(ReadFlags.Paused);
                if (!(isKept && isOwnedOnce && isForward && isUnchanged && isCounted && isSameKind && readsAlone && isNotInPause))
                {
                    Assert.Fail($"{@event.Name} in ({state}) is {step}, ({next}).");
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
        @event == On.ReadCompleted ? state.Inner == InnerUse.Pend
        : @event == On.Resume ? IsPaused(state)
        : @event == On.HandNews || @event == On.HandCancelled || @event == On.HandCancelledNews ?
            IsCall(state) && (state.User >= InputUser.Refused || IsHandable(state))
        : !@event.IsOwners || IsCall(state);

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

    private static ReadState Refused(ReadState s) => s.With(InputUser.Refused).With(ReadFlags.WasRefused | ReadFlags.CutOff);

    private static ReadState Completed(ReadState s) =>
        (s.User < InputUser.Refused ? s.With(ReadFlags.DiscardDue) : s).With(InputUser.Completed);

    private static ReadState Closed(ReadState s) =>
        (s.User < InputUser.Refused && !s.Has(ReadFlags.Late) ? s.With(ReadFlags.DiscardDue) : s).With(InputUser.Closed);

    private delegate ReadStep Transition(ReadState state, out ReadState next);

    private sealed record Row(Event Event, Func<ReadState, bool> When, ReadStep Step, Func<ReadState, ReadState> Next);

    /// <param name="Name">Its name.</param>
    /// <param name="IsOwners">Only the owner does it, so only from <see cref="InnerUse.Call"/>.</param>
    /// <param name="Transition">What it does.</param>
    private sealed record Event(string Name, bool IsOwners, Transition Transition)
    {
        public Outcome Run(ReadState state) => (Transition(state, out var next), next);
    }

    private static class On
    {
        public static readonly Event BeginRead = Outside(ReadTransitions.BeginRead);
        public static readonly Event BeginTryRead = Outside(ReadTransitions.BeginTryRead);
        public static readonly Event BeginAdvance = Outside(ReadTransitions.BeginAdvance);
        public static readonly Event Cancel = Outside(ReadTransitions.Cancel);
        public static readonly Event Pause = Outside(ReadTransitions.Pause);
        public static readonly Event Resume = Outside(ReadTransitions.Resume);
        public static readonly Event Refuse = Outside((s, out next) => ReadTransitions.Refuse(s, Epoch, isCutOff: true, out next));
        public static readonly Event RefuseLate = Outside((s, out next) => ReadTransitions.Refuse(s, Epoch - 1, isCutOff: true, out next));
        public static readonly Event Complete = Outside((s, out next) => ReadTransitions.End(s, InputUser.Completed, out next));
        public static readonly Event Close = Outside((s, out next) => ReadTransitions.End(s, InputUser.Closed, out next));
        public static readonly Event Discard = Outside(ReadTransitions.Discard);
        public static readonly Event Stop = Outside(ReadTransitions.Stop);
        public static readonly Event Ask = Outside(ReadTransitions.Ask);
        public static readonly Event Keep = Outside(ReadTransitions.Keep);
        public static readonly Event Share = Outside(ReadTransitions.Share);
        public static readonly Event ReadCompleted = Outside(ReadTransitions.Complete);
        public static readonly Event Suspend = Owners(ReadTransitions.Suspend);
        public static readonly Event HandNews = Owners((s, out next) => ReadTransitions.Hand(s, false, true, out next));
        public static readonly Event HandCancelled = Owners((s, out next) => ReadTransitions.Hand(s, true, false, out next));
        public static readonly Event HandCancelledNews = Owners((s, out next) => ReadTransitions.Hand(s, true, true, out next));
        public static readonly Event Fail = Owners((s, out next) => ReadTransitions.Fail(s, held: false, out next));
        public static readonly Event FailHeld = Owners((s, out next) => ReadTransitions.Fail(s, held: true, out next));
        public static readonly Event EndInput = Owners(ReadTransitions.EndInput);
        public static readonly Event Leave = Owners(ReadTransitions.Leave);
        public static readonly Event EndAdvance = Owners((s, out next) => ReadTransitions.EndAdvance(s, given: true, out next));
        public static readonly Event EndFailedAdvance = Owners((s, out next) => ReadTransitions.EndAdvance(s, given: false, out next));

        private static Event Outside(Transition transition, [CallerArgumentExpression(nameof(transition))] string name = "") =>
            new(name, IsOwners: false, transition);

        private static Event Owners(Transition transition, [CallerArgumentExpression(nameof(transition))] string name = "") =>
            new(name, IsOwners: true, transition);
    }
}
