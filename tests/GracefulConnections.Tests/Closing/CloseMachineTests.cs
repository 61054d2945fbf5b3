using GracefulConnections.Closing;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Closing;

/// <summary>
/// Every event in every state with everything that can be known and seen: the table names what happens, and what it
/// does not name changes nothing.
/// </summary>
public class CloseMachineTests
{
    // Event, states (Open, Half-closed, Flushing, Lingering), what holds (! for not), the next state (= for the same)
    // and the outcome of an end, and what it asks for. The first line that fits counts.
    private const string Table = """
        CloseRequested      | OH   | !Requested !Returned             | =                            | Requested LookLater
        OutputCompleted     | OH   |                                  | HalfClosed                   |
        OutputFaulted       | OH   | PeerFin                          | HalfClosed                   | SendFin
        OutputFaulted       | OH   | Whole                            | HalfClosed                   | SendFin
        OutputFaulted       | OH   |                                  | HalfClosed                   | LookSoon
        OutputFaulted       | F    | PeerFin                          | =                            | SendFin
        OutputFaulted       | F    | Whole                            | =                            | SendFin
        OutputFaulted       | F    |                                  | =                            | LookSoon
        HandlerReturned     | OH   | !Returned                        | =                            | BeginClose
        FlushAwaited        | OH   | Blocked                          | =                            | LookSoon
        GoodbyeBegan        | O    | Requested Returned               | =                            | SayGoodbye Wake
        GoodbyeEnded        | OH   | InGoodbye                        | =                            |
        GoodbyeExpired      | OH   | InGoodbye                        | =                            | ExpireGoodbye
        Sealed              | OH   | Returned FinSent                 | Flushing                     | Look LookSoon
        Sealed              | OH   | Returned                         | Flushing                     | LookSoon
        FinSending          | OHFL |                                  | =                            |
        FinSent             | F    | !PeerFin LookCosts               | =                            |
        FinSent             | F    |                                  | =                            | Look
        FinSent             | OHL  |                                  | =                            |
        AllSent             | OHFL |                                  | =                            |
        PeerFin             | OH   |                                  | =                            |
        PeerFin             | F    | FinSent                          | =                            | Look
        PeerFin             | F    |                                  | =                            |
        PeerFin             | L    |                                  | Closed Graceful              |
        BytesDiscarded      | FL   | FinSent OverLimit                | =                            | Look
        BytesDiscarded      | OHFL |                                  | =                            |
        LingerCapped        | OH   |                                  | =                            |
        LingerCapped        | FL   |                                  | =                            | Wake
        Looked              | OH   | AwaitsFlush !Blocked             | =                            | ReleaseFlush
        Looked              | OH   |                                  | =                            |
        Looked              | F    | FinSent Delivered !CanHalfClose  | Closed LeftToServer          |
        Looked              | F    | FinSent Delivered PeerFin        | Closed Graceful              |
        Looked              | F    | FinSent Delivered                | Lingering                    | Linger
        Looked              | F    | Reset InnerGraceful              | Closed Graceful              |
        Looked              | F    | Reset                            | Aborted PeerReset            |
        Looked              | F    | Gone InputReset InnerGraceful    | Closed Graceful              |
        Looked              | F    | Gone InputReset                  | Aborted PeerReset            |
        Looked              | F    | Gone                             | Aborted Aborted              |
        Looked              | F    |                                  | =                            |
        Evicted             | L    | FinSent !EndsByReset             | Closed LingerEvicted         |
        Evicted             | F    | FinSent !EndsByReset InKernel    | Closed LingerEvicted         |
        Evicted             | FL   |                                  | Aborted LingerEvicted        |
        LingerLimitExceeded | L    | FinSent !EndsByReset             | Closed LingerLimitExceeded   |
        LingerLimitExceeded | F    | FinSent !EndsByReset InKernel    | Closed LingerLimitExceeded   |
        LingerLimitExceeded | FL   |                                  | Aborted LingerLimitExceeded  |
        LingerSilent        | L    | FinSent !EndsByReset             | Closed LingerTimedOut        |
        LingerSilent        | F    | FinSent !EndsByReset InKernel    | Closed LingerTimedOut        |
        LingerSilent        | FL   |                                  | Aborted LingerTimedOut       |
        CloseTimedOut       | OH   |                                  | Aborted CloseTimedOut        |
        CloseTimedOut       | F    | !CanHalfClose !EndsByReset !EndsByServer | Closed LeftToServer  |
        CloseTimedOut       | L    | FinSent !EndsByReset             | Closed CloseTimedOut         |
        CloseTimedOut       | F    | FinSent !EndsByReset InKernel    | Closed CloseTimedOut         |
        CloseTimedOut       | FL   |                                  | Aborted CloseTimedOut        |
        FlushStalled        | OH   |                                  | Aborted FlushTimedOut        |
        FlushStalled        | F    | !CanHalfClose !EndsByReset !EndsByServer | Closed LeftToServer  |
        FlushStalled        | F    | FinSent !EndsByReset InKernel    | Closed FlushTimedOut         |
        FlushStalled        | F    |                                  | Aborted FlushTimedOut        |
        QuietAfterDelivery  | FL   |                                  | Closed Acknowledged          |
        GraceGiven          | L    | !InGrace                         | =                            |
        ClosedByServer      | OHFL | Whole                            | Closed Graceful              |
        ClosedByServer      | OHF  | InputReset InnerGraceful         | Closed Graceful              |
        ClosedByServer      | OHFL | InputReset                       | Aborted PeerReset            |
        ClosedByServer      | OHFL |                                  | Aborted Aborted              |
        Abort               | OHF  | InputReset InnerGraceful         | Closed Graceful              |
        Abort               | OHFL | InputReset                       | Aborted PeerReset            |
        Abort               | OHFL |                                  | Aborted Aborted              |
        DrainTimedOut       | OHF  | InputReset InnerGraceful         | Closed Graceful              |
        DrainTimedOut       | OHFL | InputReset                       | Aborted PeerReset            |
        DrainTimedOut       | L    | FinSent !EndsByReset             | Closed Aborted               |
        DrainTimedOut       | F    | FinSent !EndsByReset InKernel    | Closed Aborted               |
        DrainTimedOut       | OHFL |                                  | Aborted Aborted              |
        ResetDue            | OHF  | InputReset InnerGraceful         | Closed Graceful              |
        ResetDue            | OHFL | InputReset                       | Aborted PeerReset            |
        ResetDue            | OHFL |                                  | Aborted Aborted              |
        PeerReset           | OHF  | InnerGraceful                    | Closed Graceful              |
        PeerReset           | OHFL |                                  | Aborted PeerReset            |
        InnerAborted        | OHFL |                                  | Aborted LingerEvicted        |
        """;

    private const int Fillings = 16; // How often everything that a line does not name is drawn anew.

    private static readonly TimeSpan Now = TimeSpan.FromSeconds(100);
    private static readonly Rule[] Rules = [.. Table.Split('\n').Select(Rule.Parse)];

    private static readonly string[] Flags = [.. Rules
        .SelectMany(static rule => rule.Conditions)
        .Select(static condition => condition.TrimStart('!'))
        .Distinct()
        .Append("AllSent")
        .Append("AllAcknowledged")];

    /// <summary>Gets every pair that the table names.</summary>
    internal static IEnumerable<(CloseState State, CloseEvent Event)> NamedPairs =>
        Rules.SelectMany(static rule => rule.States.Select(state => (state, rule.Event))).Distinct();

    public static TheoryData<string> Events => [.. Enum.GetNames<CloseEvent>()];

    [Theory]
    [MemberData(nameof(Events))]
    public void On_EveryStateAndObservation_FollowsTheTableOrChangesNothing(string name)
    {
        var e = Enum.Parse<CloseEvent>(name);
        var random = new Random(1);
        var unmet = Rules.Where(rule => rule.Event == e).ToHashSet();
        foreach (var state in Enum.GetValues<CloseState>())
        {
            var rules = Rules.Where(rule => rule.Event == e && rule.States.Contains(state)).ToArray();
            var named = rules.SelectMany(rule => rule.Conditions).Select(flag => flag.TrimStart('!')).Distinct().ToArray();
            for (var bits = 0; bits < Fillings << named.Length; bits++)
            {
                var flags = Flags
                    .Where(flag => Array.IndexOf(named, flag) is >= 0 and var i ? (bits >> i & 1) != 0 : random.Next(2) == 0)
                    .ToHashSet();
                var rule = rules.FirstOrDefault(rule => rule.Holds(flags));
                if (rule is not null)
                {
                    unmet.Remove(rule);
                }

                Check(e, state, flags, rule);
            }
        }

        Assert.Empty(unmet);
    }

    [Fact]
    public void Table_EveryEvent_IsNamed() => Assert.Equal(
        Enum.GetValues<CloseEvent>().Where(static e => e != CloseEvent.None),
        Rules.Select(static rule => rule.Event).Distinct().Order());

    [Fact]
    public void On_ReasonKnown_TheFirstOneStays()
    {
        var facts = CloseFacts.Initial;
        (facts, _) = CloseMachine.On(facts, CloseEvent.CloseRequested, new() { Reason = CloseReason.Drain }, Now);
        (facts, _) = CloseMachine.On(facts, CloseEvent.CloseRequested, new() { Reason = CloseReason.IdleTimeout }, Now);
        (facts, _) = CloseMachine.On(facts, CloseEvent.HandlerReturned, new() { Reason = CloseReason.HandlerCompleted }, Now);
        (facts, _) = CloseMachine.On(facts, CloseEvent.PeerReset, default, Now);

        Assert.Equal((CloseReason.Drain, CloseOutcome.PeerReset), (facts.Result.Reason, facts.Result.Outcome));
    }

    [Theory]
    [InlineData(CloseEvent.Abort, CloseReason.Application)]
    [InlineData(CloseEvent.PeerReset, CloseReason.PeerReset)]
    public void On_EndsWithoutAReason_GivesItsOwn(object e, CloseReason expected) => Assert.Equal(
        expected, CloseMachine.On(CloseFacts.Initial, (CloseEvent)e, default, Now).Facts.Result.Reason);

    [Fact]
    public void End_BytesOfBothCloses_AreCounted()
    {
        var inner = new CloseResult
        {
            Reason = CloseReason.Drain,
            Outcome = CloseOutcome.LingerTimedOut,
            DiscardedBytes = 5,
            UnacknowledgedBytes = 0,
        };
        var (facts, _) = CloseMachine.On(
            CloseFacts.Initial, CloseEvent.HandlerReturned, new() { Inner = inner, InnerSince = TimeSpan.FromSeconds(90) }, Now);
        var seen = new CloseObservation { DiscardedBytes = 2, Delivery = new DeliveryStatus(0, false, false, 7) };

        (facts, _) = CloseMachine.On(facts, CloseEvent.Abort, seen, Now);

        var expected = new CloseResult
        {
            Reason = CloseReason.Drain,
            Outcome = CloseOutcome.Aborted,
            Duration = TimeSpan.FromSeconds(10),
            DiscardedBytes = 7,
            UnacknowledgedBytes = 7,
        };
        Assert.Equal(expected, facts.Result);
    }

    [Theory]
    [InlineData(CloseOutcome.FlushTimedOut, false, true)]
    [InlineData(CloseOutcome.FlushTimedOut, true, false)]
    [InlineData(CloseOutcome.CloseTimedOut, false, true)]
    [InlineData(CloseOutcome.LingerEvicted, false, true)]
    [InlineData(CloseOutcome.LeftToServer, false, true)]
    [InlineData(CloseOutcome.PeerReset, false, false)]
    [InlineData(CloseOutcome.Aborted, false, false)]
    [InlineData(CloseOutcome.Graceful, false, false)]
    [InlineData(CloseOutcome.Acknowledged, false, false)]
    public void IsLoss_EveryKindOfEnd_IsOneThatNobodyWanted(CloseOutcome outcome, bool isDrain, bool expected)
    {
        var facts = CloseFacts.Initial with
        {
            Result = new CloseResult { Outcome = outcome },
            LingerCap = isDrain ? TimeSpan.FromSeconds(1) : null,
        };

        Assert.Equal(expected, CloseMachine.IsLoss(facts));
    }

    private static void Check(CloseEvent e, CloseState state, HashSet<string> flags, Rule? rule)
    {
        var (facts, seen) = Make(state, flags);
        var what = $"{e} in {state} with {string.Join(' ', flags)}";

        var (after, effects) = CloseMachine.On(facts, e, seen, Now);

        if (rule is null)
        {
            Assert.True(facts == after && effects == CloseEffects.None, $"{what} changed something");
            return;
        }

        var next = rule.Next ?? state;
        Assert.True(next == after.State, $"{what} led to {after.State}, and not to {next}");
        Assert.True(rule.Effects == effects, $"{what} asked for {effects}, and not for {rule.Effects}");
        Assert.True(rule.Outcome == after.Result.Outcome, $"{what} ended as {after.Result.Outcome}, and not as {rule.Outcome}");
    }

    private static (CloseFacts Facts, CloseObservation Seen) Make(CloseState state, HashSet<string> flags)
    {
        var facts = CloseFacts.Initial with
        {
            State = state,
            IsRequested = flags.Contains("Requested"),
            HandlerReturned = flags.Contains("Returned"),
            FinSent = flags.Contains("FinSent"),
            AllSent = flags.Contains("AllSent"),
            PeerFin = flags.Contains("PeerFin"),
            EndsByReset = flags.Contains("EndsByReset"),
            EndsByServer = flags.Contains("EndsByServer"),
            InnerWasGraceful = flags.Contains("InnerGraceful"),
            AwaitsFlush = flags.Contains("AwaitsFlush"),
            GoodbyeSince = flags.Contains("InGoodbye") ? TimeSpan.FromSeconds(1) : null,
            GraceEnd = flags.Contains("InGrace") ? TimeSpan.FromSeconds(1) : null,
            DiscardLimit = 10,
        };
        var delivery = new DeliveryStatus(
            Progress: 1,
            IsDelivered: flags.Contains("Delivered"),
            IsReset: flags.Contains("Reset"),
            UnacknowledgedBytes: 3,
            IsGone: flags.Contains("Gone"),
            IsAllAcknowledged: flags.Contains("AllAcknowledged"));
        var seen = new CloseObservation
        {
            Delivery = delivery,
            CanHalfClose = flags.Contains("CanHalfClose"),
            IsFinInKernel = flags.Contains("InKernel"),
            IsLookCostly = flags.Contains("LookCosts"),
            IsWriteBlocked = flags.Contains("Blocked"),
            DiscardedBytes = flags.Contains("OverLimit") ? 11 : 10,
            IsInputReset = flags.Contains("InputReset"),
            IsWhole = flags.Contains("Whole"),
            Reason = CloseReason.Application,
            Inner = new CloseResult { Reason = CloseReason.Drain, Outcome = CloseOutcome.LingerEvicted },
        };
        return (facts, seen);
    }

    private sealed record Rule(
        CloseEvent Event, CloseState[] States, string[] Conditions, CloseState? Next, CloseOutcome Outcome, CloseEffects Effects)
    {
        public static Rule Parse(string line)
        {
            var cells = line.Split('|', StringSplitOptions.TrimEntries);
            var end = cells[3].Split(' ');
            var effects = cells[4].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Enum.Parse<CloseEffects>);
            return new Rule(
                Enum.Parse<CloseEvent>(cells[0]),
                [.. cells[1].Select(static letter => "OHFL".IndexOf(letter)).Select(static i => (CloseState)i)],
                cells[2].Split(' ', StringSplitOptions.RemoveEmptyEntries),
                end[0] == "=" ? null : Enum.Parse<CloseState>(end[0]),
                end.Length > 1 ? Enum.Parse<CloseOutcome>(end[1]) : CloseOutcome.None,
                end.Length > 1 ? CloseEffects.End : effects.Aggregate(CloseEffects.None, static (a, b) => a | b));
        }

        public bool Holds(HashSet<string> flags) =>
            Conditions.All(condition => condition[0] == '!' ? !flags.Contains(condition[1..]) : flags.Contains(condition));
    }
}
