using System.Globalization;
using System.Net;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Tests.Diagnostics;

public class HoldersTests
{
    private static readonly TrackedConnectionInfo Open = new()
    {
        ConnectionId = "a",
        RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 1),
        IsCloseRequested = true,
        Activity = ConnectionActivity.Idle,
        Age = TimeSpan.FromSeconds(60),
        BusyTime = TimeSpan.FromSeconds(1.04),
        IdleTime = TimeSpan.FromSeconds(2.06),
    };

    public static TheoryData<TrackedConnectionInfo, string> Reasons => new()
    {
        { Open with { State = CloseState.Closed }, "over, but its handler has not returned" },
        { Open with { State = CloseState.Aborted, Activity = ConnectionActivity.Busy, UnacknowledgedBytes = 5, IsPeerWindowClosed = true }, "over, but its handler has not returned" },
        { Open with { State = CloseState.Lingering }, "silent peer for 2.1 s, no FIN from it" },
        { Open with { State = CloseState.Lingering, UnacknowledgedBytes = 5, IsPeerWindowClosed = true }, "silent peer for 2.1 s, no FIN from it" },
        { Open with { State = CloseState.Flushing, UnacknowledgedBytes = 1234567, IsPeerWindowClosed = true }, "1234567 bytes unacknowledged, the peer's window is zero" },
        { Open with { Activity = ConnectionActivity.Busy, UnacknowledgedBytes = 5, IsPeerWindowClosed = true }, "5 bytes unacknowledged, the peer's window is zero" },
        { Open with { Activity = ConnectionActivity.Busy, UnacknowledgedBytes = 0, IsPeerWindowClosed = true }, "busy for 1.0 s" },
        { Open with { State = CloseState.Flushing, UnacknowledgedBytes = 5 }, "5 bytes unacknowledged" },
        { Open with { State = CloseState.Flushing }, "some bytes unacknowledged" },
        { Open with { Activity = ConnectionActivity.Busy }, "busy for 1.0 s" },
        { Open with { Activity = ConnectionActivity.Busy, IsCloseRequested = false }, "busy for 1.0 s" },
        { Open with { State = CloseState.HalfClosed, Activity = ConnectionActivity.Busy }, "busy for 1.0 s" },
        { Open with { IsCloseRequested = false }, "idle for 2.1 s, its turn has not come" },
        {
            Open with { Activity = ConnectionActivity.Unknown },
            "no byte for 2.1 s, its handler was told and has not returned"
        },
        { Open, "idle for 2.1 s, its handler has not returned" },
    };

    [Theory]
    [MemberData(nameof(Reasons), DisableDiscoveryEnumeration = true)]
    public void Describe_OneConnection_SaysWhyItHolds(TrackedConnectionInfo info, string reason) =>
        Assert.Equal($"a (127.0.0.1:1, age 60.0 s): {reason}", Holders.Describe(info));

    [Fact]
    public void Describe_NoAddress_SaysSo()
    {
        Assert.StartsWith("a (no address, ", Holders.Describe(Open with { RemoteEndPoint = null }), StringComparison.Ordinal);
        Assert.StartsWith("a (no address, ", Holders.Describe(Open with { RemoteEndPoint = new NamelessEndPoint() }), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, "a;")]
    [InlineData(3, "a; a; a;")]
    [InlineData(4, "a; a; a; and 1 more")]
    [InlineData(2000, "a; a; a; and 1997 more")]
    public void Describe_Many_NamesThreeAndCountsTheRest(int count, string expected)
    {
        var named = Holders.Describe([.. Enumerable.Repeat(Open, Math.Min(count, 5))], count);

        Assert.Equal(expected.TrimEnd(';'), named.Replace(Holders.Describe(Open), "a", StringComparison.Ordinal));
    }

    [Fact]
    public void Describe_Tag_IsSpelledSoThatItCannotForgeALine()
    {
        Assert.Equal(
            @"a (127.0.0.1:1, tag tenant 7, age 60.0 s): idle for 2.1 s, its handler has not returned",
            Holders.Describe(Open with { Tag = "tenant 7" }));
        Assert.Contains(
            @"tag x\u000Awarn: forged, age", Holders.Describe(Open with { Tag = "x\nwarn: forged" }), StringComparison.Ordinal);
    }

    [Fact]
    public void Describe_TagThatThrows_NamesItsType() =>
        Assert.Contains(
            "tag Fault (InvalidTimeZoneException), age",
            Holders.Describe(Open with { Tag = new Fault() }),
            StringComparison.Ordinal);

    [Fact]
    public void Count_SomeOfEach_CountsInTheOrderOfTheValues()
    {
        CloseState[] states = [CloseState.Aborted, CloseState.Lingering, CloseState.Open, CloseState.Lingering];

        Assert.Equal("1 Open, 2 Lingering, 1 Aborted", Holders.Count(states.CountBy(static state => state)));
    }

    [Fact]
    public void Describe_AnyCulture_WritesNumbersTheSameWay()
    {
        var culture = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo(string.Empty) { NumberFormat = new NumberFormatInfo { NumberDecimalSeparator = "," } };

            Assert.Contains("age 60.0 s", Holders.Describe(Open), StringComparison.Ordinal);
        }
        finally
        {
            CultureInfo.CurrentCulture = culture;
        }
    }

    private sealed class Fault
    {
        public override string ToString() => throw new InvalidTimeZoneException();
    }

    // As the client's end of a Unix domain socket, which is bound to no path.
    private sealed class NamelessEndPoint : EndPoint
    {
        public override string ToString() => string.Empty;
    }
}
