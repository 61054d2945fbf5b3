using System.Diagnostics;
using GracefulConnections.Closing;

namespace GracefulConnections.Tests.Closing;

public class CloseTransitionsTests
{
    // Every state beside every event. A dash: it cannot happen there. Limit: Closed when all output and our FIN are in
    // the kernel, else Aborted.
    private const string Table = """
        .                   Open       HalfClosed Flushing   Lingering  Closed     Aborted
        OutputCompleted     HalfClosed -          -          -          Closed     Aborted
        HandlerReturned     Flushing   Flushing   -          -          Closed     Aborted
        Delivered           -          -          Lingering  -          Closed     Aborted
        PeerFin             Open       HalfClosed Flushing   Closed     Closed     Aborted
        QuietAfterDelivery  -          -          Closed     Closed     Closed     Aborted
        LeftToServer        -          -          Closed     -          Closed     Aborted
        ClosedByServer      Closed     Closed     Closed     Closed     Closed     Aborted
        FlushStalled        Aborted    Aborted    Limit      Limit      Closed     Aborted
        LingerSilent        -          -          Limit      Limit      Closed     Aborted
        LingerLimitExceeded -          -          Limit      Limit      Closed     Aborted
        LingerEvicted       -          -          Limit      Limit      Closed     Aborted
        CloseTimeout        -          -          Limit      Limit      Closed     Aborted
        PeerReset           Aborted    Aborted    Aborted    Aborted    Closed     Aborted
        Abort               Aborted    Aborted    Aborted    Aborted    Closed     Aborted
        """;

    public static TheoryData<string, string, string> Pairs
    {
        get
        {
            var rows = Table.Split('\n').Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)).ToArray();
            var pairs = new TheoryData<string, string, string>();
            foreach (var row in rows[1..])
            {
                for (var column = 1; column < row.Length; column++)
                {
                    pairs.Add(rows[0][column], row[0], row[column]);
                }
            }

            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Next_EveryPair_FollowsTheTable(string state, string closeEvent, string expected)
    {
        var from = Enum.Parse<CloseState>(state);
        var e = Enum.Parse<CloseEvent>(closeEvent);

        if (expected == "-")
        {
            var exception = Assert.Throws<UnreachableException>(() => CloseTransitions.Next(from, e));
            Assert.Equal($"{closeEvent} cannot happen in {state}.", exception.Message);
        }
        else
        {
            var isLimit = expected == "Limit";
            var inKernel = isLimit ? CloseState.Closed : Enum.Parse<CloseState>(expected);
            var notInKernel = isLimit ? CloseState.Aborted : inKernel;
            Assert.Equal(notInKernel, CloseTransitions.Next(from, e));
            Assert.Equal(inKernel, CloseTransitions.Next(from, e, isInKernel: true));
        }
    }

    [Fact]
    public void Table_EveryStateAndEvent_IsListedOnce()
    {
        var pairs = Pairs.Select(pair => (pair.Data.Item1, pair.Data.Item2)).ToArray();

        Assert.Equal(Enum.GetNames<CloseState>().Length * Enum.GetNames<CloseEvent>().Length, pairs.Distinct().Count());
        Assert.Equal(6 * 14, pairs.Length);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Next_AnyLegalPair_NeverMovesBackward(string state, string closeEvent, string expected)
    {
        if (expected != "-")
        {
            var from = Enum.Parse<CloseState>(state);
            Assert.True(CloseTransitions.Next(from, Enum.Parse<CloseEvent>(closeEvent)) >= from);
        }
    }

    [Theory]
    [InlineData(CloseState.Open, false)]
    [InlineData(CloseState.HalfClosed, false)]
    [InlineData(CloseState.Flushing, false)]
    [InlineData(CloseState.Lingering, false)]
    [InlineData(CloseState.Closed, true)]
    [InlineData(CloseState.Aborted, true)]
    public void IsFinal_EveryState_IsTrueForTheLastTwo(CloseState state, bool expected) => Assert.Equal(expected, CloseTransitions.IsFinal(state));

    [Theory]
    [InlineData("OutputCompleted", null)]
    [InlineData("HandlerReturned", null)]
    [InlineData("Delivered", null)]
    [InlineData("PeerFin", CloseOutcome.Graceful)]
    [InlineData("QuietAfterDelivery", CloseOutcome.Acknowledged)]
    [InlineData("LeftToServer", CloseOutcome.LeftToServer)]
    [InlineData("ClosedByServer", CloseOutcome.Graceful)]
    [InlineData("FlushStalled", CloseOutcome.FlushTimedOut)]
    [InlineData("LingerSilent", CloseOutcome.LingerTimedOut)]
    [InlineData("LingerLimitExceeded", CloseOutcome.LingerLimitExceeded)]
    [InlineData("LingerEvicted", CloseOutcome.LingerEvicted)]
    [InlineData("CloseTimeout", CloseOutcome.CloseTimedOut)]
    [InlineData("PeerReset", CloseOutcome.PeerReset)]
    [InlineData("Abort", CloseOutcome.Aborted)]
    public void Outcome_EveryEvent_IsItsOwnOrNone(string closeEvent, CloseOutcome? expected)
    {
        var e = Enum.Parse<CloseEvent>(closeEvent);

        if (expected is null)
        {
            var exception = Assert.Throws<UnreachableException>(() => CloseTransitions.Outcome(e));
            Assert.Equal($"{closeEvent} ends no connection.", exception.Message);
        }
        else
        {
            Assert.Equal(expected, CloseTransitions.Outcome(e));
        }
    }

    [Fact]
    public void Outcome_EveryEventThatEndsAConnection_HasOne()
    {
        var ending = Pairs.Select(pair => pair.Data)
            .Where(pair => pair.Item1 is not (nameof(CloseState.Closed) or nameof(CloseState.Aborted)))
            .Where(pair => pair.Item3 is nameof(CloseState.Closed) or nameof(CloseState.Aborted) or "Limit")
            .Select(pair => Enum.Parse<CloseEvent>(pair.Item2))
            .Distinct();

        var outcomes = ending.Select(CloseTransitions.Outcome).Distinct().Order();
        Assert.Equal(Enum.GetValues<CloseOutcome>().Except([CloseOutcome.None]), outcomes);
    }
}
