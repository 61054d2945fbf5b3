using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>The same play on stock Kestrel and with the library.</summary>
internal sealed record HabitComparison(HabitResult Stock, HabitResult Ours)
{
    /// <summary>Asserts that both executed and answered the same, and that ours told of no error.</summary>
    public void AssertCarriedAlike(IEnumerable<string> executed, string received)
    {
        Print();
        Assert.Equal(executed, Stock.Executed);
        Assert.Equal(received, Stock.Text);
        Assert.Equal(executed, Ours.Executed);
        Assert.Equal(received, Ours.Text);
        Assert.Empty(Ours.Errors);
    }

    /// <summary>Asserts <see cref="AssertCarriedAlike"/>, and that ours then let an idle handler go by FIN.</summary>
    public void AssertServedThenLetGo(IEnumerable<string> executed, string received)
    {
        AssertCarriedAlike(executed, received);
        Assert.Equal(PeerSaw.Eof, Ours.End);
        Assert.True(Ours.IsReadCancelled, $"The handler ended by {Ours.Fault?.ToString() ?? "a return"}.");
        Assert.Equal((CloseOutcome.Graceful, 0L), (Ours.Close!.Value.Outcome, Ours.Close.Value.UnacknowledgedBytes));
    }

    /// <summary>Asserts what <see cref="AssertCarriedAlike"/> does, and that the handler came to its own end.</summary>
    public void AssertServedToTheHandlersEnd(IEnumerable<string> executed, string received)
    {
        AssertCarriedAlike(executed, received);
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (Stock.End, Ours.End));
        Assert.Null(Ours.Fault);
        Assert.Equal((CloseOutcome.Graceful, 0L), (Ours.Close!.Value.Outcome, Ours.Close.Value.UnacknowledgedBytes));
    }

    /// <summary>Writes both results to the test's output.</summary>
    public void Print()
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"{Stock}");
        TestContext.Current.TestOutputHelper?.WriteLine($"{Ours}");
    }
}
