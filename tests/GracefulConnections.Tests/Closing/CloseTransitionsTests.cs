using System.Diagnostics;
using GracefulConnections.Closing;

namespace GracefulConnections.Tests.Closing;

public class CloseTransitionsTests
{
    // Every state beside every event. A dash: it cannot happen there.
    private const string Table = """
        .                   Open       HalfClosed Flushing   Lingering  Closed     Aborted
        OutputCompleted     HalfClosed -          -          -          Closed     Aborted
        HandlerReturned     Flushing   Flushing   -          -          Closed     Aborted
        Delivered           -          -          Lingering  -          Closed     Aborted
        PeerFin             Open       HalfClosed Flushing   Closed     Closed     Aborted
        QuietAfterDelivery  -          -          -          Closed     Closed     Aborted
        FlushStalled        Aborted    Aborted    Aborted    -          Closed     Aborted
        LingerSilent        -          -          -          Aborted    Closed     Aborted
        LingerLimitExceeded -          -          Aborted    Aborted    Closed     Aborted
        LingerEvicted       -          -          -          Aborted    Closed     Aborted
        CloseTimeout        -          -          Aborted    Aborted    Closed     Aborted
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
            Assert.Equal(Enum.Parse<CloseState>(expected), CloseTransitions.Next(from, e));
        }
    }

    [Fact]
    public void Table_EveryStateAndEvent_IsListedOnce()
    {
        var pairs = Pairs.Select(pair => (pair.Data.Item1, pair.Data.Item2)).ToArray();

        Assert.Equal(Enum.GetNames<CloseState>().Length * Enum.GetNames<CloseEvent>().Length, pairs.Distinct().Count());
        Assert.Equal(6 * 12, pairs.Length);
    }

    [Theory]
    [MemberData(nameof(Pairs))]
    public void Next_AnyLegalPair_NeverMovesBackward(string state, string closeEvent, string expected)
    {
        if (expected != "-")
        {
            Assert.True(CloseTransitions.Next(Enum.Parse<CloseState>(state), Enum.Parse<CloseEvent>(closeEvent)) >= Enum.Parse<CloseState>(state));
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
        var ending = Pairs.Where(pair => pair.Data.Item1 is not (nameof(CloseState.Closed) or nameof(CloseState.Aborted)) && pair.Data.Item3 is nameof(CloseState.Closed) or nameof(CloseState.Aborted))
            .Select(pair => Enum.Parse<CloseEvent>(pair.Data.Item2))
            .Distinct();

        Assert.Equal(Enum.GetValues<CloseOutcome>(), ending.Select(CloseTransitions.Outcome).Order());
    }
}
