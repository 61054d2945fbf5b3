using System.Globalization;
using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Draining;

public class DrainBudgetTests
{
    private static readonly DrainBudget Budget = new(new ServerDrainOptions { AnnounceDelay = TimeSpan.FromSeconds(2.5), DrainTimeout = TimeSpan.FromSeconds(20) });

    [Fact]
    public void Total_Always_IsBothAndTheExit() => Assert.Equal(TimeSpan.FromSeconds(24.5), Budget.Total);

    [Fact]
    public void ToString_Always_SpellsTheSum() =>
        Assert.Equal("AnnounceDelay 2.5 s + DrainTimeout 20 s + 2 s for aborted connections and the exit = 24.5 s", Budget.ToString());

    [Fact]
    public void FitsInto_AtTheEdge_Fits()
    {
        Assert.True(Budget.FitsInto(Budget.Total));
        Assert.True(Budget.FitsInto(TimeSpan.MaxValue));
        Assert.True(Budget.FitsInto(Timeout.InfiniteTimeSpan));
        Assert.False(Budget.FitsInto(Budget.Total - TimeSpan.FromTicks(1)));
        Assert.False(Budget.FitsInto(TimeSpan.Zero));
    }

    [Fact]
    public void ExitTime_Always_HasRoomForTheGrace() => Assert.True(BatchPlan.HandlerGrace < BatchPlan.ExitTime);

    [Theory]
    [InlineData("30", 30)]
    [InlineData(" 30 ", 30)]
    [InlineData("0.5", 0.5)]
    [InlineData("1e2", 100)]
    public void ParseGracePeriod_Seconds_AreRead(string text, double seconds) => Assert.Equal(TimeSpan.FromSeconds(seconds), DrainBudget.ParseGracePeriod(text));

    [Theory]
    [InlineData("0")]
    [InlineData("-30")]
    [InlineData("30s")]
    [InlineData("thirty")]
    [InlineData("30,5")]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("1e300")]
    [InlineData(" ")]
    public void ParseGracePeriod_AnythingElse_IsNull(string text) => Assert.Null(DrainBudget.ParseGracePeriod(text));

    [Fact]
    public void ParseGracePeriod_GreatestTime_DoesNotOverflow()
    {
        Assert.Null(DrainBudget.ParseGracePeriod(TimeSpan.MaxValue.TotalSeconds.ToString("R", CultureInfo.InvariantCulture)));
        Assert.NotNull(DrainBudget.ParseGracePeriod(Math.BitDecrement(TimeSpan.MaxValue.TotalSeconds).ToString("R", CultureInfo.InvariantCulture)));
    }
}
