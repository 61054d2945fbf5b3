using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

public class BoundaryRuleTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);
    private static readonly TimeSpan Long = TimeSpan.FromDays(1);
    private static readonly BoundaryLimits Limits = new(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(5));

    /// <summary>
    /// Who must be silent, and for how many seconds: p is the peer, h the handler. Both must. The habit: n was never handed a
    /// byte, u has not answered, d is duplex, s uses scopes, o is outside of TLS, l leaves a part in the pipe; none of them has answered.
    /// </summary>
    public static TheoryData<string, string, int> Rows => new()
    {
        { "n", "p", 1 },
        { "n", "h", 1 },
        { "nd", "p", 1 }, // It flushed beside its first read: a banner is no answer.
        { "nd", "h", 1 },
        { "u", "p", 5 },
        { "u", "h", 5 },
        { "d", "p", 5 },
        { "d", "h", 5 },
        { "ud", "p", 5 },
        { "ud", "h", 5 },
        { "o", "p", 5 },
        { "o", "h", 5 },
        { "on", "p", 5 },
        { "on", "h", 5 },
        { "ou", "p", 5 },
        { "ou", "h", 5 },
        { "os", "p", 5 }, // The scopes inside of TLS are another connection's.
        { "os", "h", 5 },
        { "l", "p", 5 }, // It has answered what it took.
        { "l", "h", 5 },
        { "ls", "p", 5 }, // It begins a scope when it has a whole message.
        { "ls", "h", 5 },
        { "lud", "p", 5 },
    };

    [Theory]
    [MemberData(nameof(Rows))]
    public void GetWait_OneOfThemSilentForAsLongAsItMust_EndsAtTheEdge(string habit, string who, int seconds)
    {
        var limit = TimeSpan.FromSeconds(seconds);

        Assert.Equal(Tick, GetWait(habit, who, limit - Tick));
        Assert.True(GetWait(habit, who, limit) <= TimeSpan.Zero);
        Assert.Equal(limit, GetWait(habit, who, TimeSpan.Zero));
    }

    [Theory]
    [InlineData("s")]
    [InlineData("sn")]
    [InlineData("su")]
    [InlineData("sd")]
    [InlineData("sud")]
    public void GetWait_HandlerUsesScopes_NeedsNoSilence(string habit) =>
        Assert.Equal(TimeSpan.Zero, BoundaryRule.GetWait(Habit(habit), default, Limits));

    [Fact]
    public void GetWait_AnsweredAndThePeerSilentForTheQuietTime_EndsAtTheEdge()
    {
        Assert.Equal(Tick, BoundaryRule.GetWait(Habit(""), new Silence(Limits.QuietTime - Tick, Long, default), Limits));
        Assert.Equal(TimeSpan.Zero, BoundaryRule.GetWait(Habit(""), new Silence(Limits.QuietTime, Long, default), Limits));
    }

    [Fact]
    public void GetWait_AnsweredAndTheRequestAsOldAsTheMessageGap_EndsAtTheEdge()
    {
        Assert.Equal(Tick, BoundaryRule.GetWait(Habit(""), new Silence(default, default, Limits.MessageGap - Tick), Limits));
        Assert.Equal(TimeSpan.Zero, BoundaryRule.GetWait(Habit(""), new Silence(default, default, Limits.MessageGap), Limits));
    }

    [Theory]
    [InlineData("n")]
    [InlineData("u")]
    [InlineData("d")]
    [InlineData("o")]
    public void GetWait_NotAnsweredAndThePeerNeverSilent_NeverEnds(string habit) =>
        Assert.True(BoundaryRule.GetWait(Habit(habit), new Silence(default, Long, Long), Limits) > TimeSpan.Zero);

    // What the handler of an answered message does meanwhile is no part of a message of the peer's.
    [Fact]
    public void GetWait_Answered_DoesNotLookAtTheHandler() =>
        Assert.True(BoundaryRule.GetWait(Habit(""), new Silence(Limits.QuietTime, default, default), Limits) <= TimeSpan.Zero);

    [Fact]
    public void GetWait_LimitsOfZero_NeedsNoSilence()
    {
        foreach (var habit in (string[])["", "n", "u", "d", "o"])
        {
            Assert.Equal(TimeSpan.Zero, BoundaryRule.GetWait(Habit(habit), default, default));
        }
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("d", false)]
    [InlineData("u", true)]
    [InlineData("us", false)]
    [InlineData("l", true)]
    [InlineData("ls", true)]
    public void IsCutOff_PartOfAMessageMayBeMissing_IsTrue(string habit, bool isCutOff) =>
        Assert.Equal(isCutOff, BoundaryRule.IsCutOff(Habit(habit)));

    private static TimeSpan GetWait(string habit, string who, TimeSpan silence) => BoundaryRule.GetWait(
        Habit(habit), new Silence(who == "p" ? silence : Long, who == "h" ? silence : Long, Long), Limits);

    private static Habit Habit(string letters) => new(
        WasHandedBytes: !letters.Contains('n', StringComparison.Ordinal),
        IsUnanswered: letters.Contains('u', StringComparison.Ordinal),
        IsDuplex: letters.Contains('d', StringComparison.Ordinal),
        UsesScopes: letters.Contains('s', StringComparison.Ordinal),
        IsOutsideTls: letters.Contains('o', StringComparison.Ordinal))
    {
        LeavesPart = letters.Contains('l', StringComparison.Ordinal),
    };
}
