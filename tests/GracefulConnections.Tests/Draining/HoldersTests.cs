using System.Globalization;
using System.Net;
using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

public class HoldersTests
{
    private static readonly TrackedConnectionInfo Open = new()
    {
        ConnectionId = "a",
        RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 1),
        IsCloseRequested = true,
        Age = TimeSpan.FromSeconds(60),
        BusyTime = TimeSpan.FromSeconds(1.04),
        IdleTime = TimeSpan.FromSeconds(2.06),
    };

    public static TheoryData<TrackedConnectionInfo, string> Reasons => new()
    {
        { Open with { State = CloseState.Closed }, "over, but its handler has not returned" },
        { Open with { State = CloseState.Aborted, IsBusy = true, UnacknowledgedBytes = 5, IsPeerWindowClosed = true }, "over, but its handler has not returned" },
        { Open with { State = CloseState.Lingering }, "silent peer for 2.1 s, no FIN from it" },
        { Open with { State = CloseState.Lingering, UnacknowledgedBytes = 5, IsPeerWindowClosed = true }, "silent peer for 2.1 s, no FIN from it" },
        { Open with { State = CloseState.Flushing, UnacknowledgedBytes = 1234567, IsPeerWindowClosed = true }, "1234567 bytes unacknowledged, the peer's window is zero" },
        { Open with { IsBusy = true, UnacknowledgedBytes = 5, IsPeerWindowClosed = true }, "5 bytes unacknowledged, the peer's window is zero" },
        { Open with { IsBusy = true, UnacknowledgedBytes = 0, IsPeerWindowClosed = true }, "busy for 1.0 s" },
        { Open with { State = CloseState.Flushing, UnacknowledgedBytes = 5 }, "5 bytes unacknowledged" },
        { Open with { State = CloseState.Flushing }, "some bytes unacknowledged" },
        { Open with { IsBusy = true }, "busy for 1.0 s" },
        { Open with { IsBusy = true, IsCloseRequested = false }, "busy for 1.0 s" },
        { Open with { State = CloseState.HalfClosed, IsBusy = true }, "busy for 1.0 s" },
        { Open with { IsCloseRequested = false }, "idle for 2.1 s, its turn has not come" },
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
    public void Describe_Connections_TakesTheOldest()
    {
        var sut = new TestDrain();
        List<FakeTrackedConnection> connections = [];
        foreach (var id in new[] { "1st", "2nd", "3rd", "4th" })
        {
            connections.Insert(0, sut.Create(id));
            sut.AdvanceSeconds(1);
        }

        var described = Holders.Describe(connections);

        Assert.Equal(["1st", "2nd", "3rd", "and"], described.Split("; ").Select(part => part.Split(' ')[0]));
    }

    [Fact]
    public void DescribeStates_SomeOfEach_CountsInTheOrderOfTheStates()
    {
        var sut = new TestDrain();
        CloseState[] states = [CloseState.Aborted, CloseState.Lingering, CloseState.Open, CloseState.Lingering, CloseState.Flushing, CloseState.HalfClosed, CloseState.Open, CloseState.Open];
        var connections = states.Select(state =>
        {
            var connection = sut.Create();
            connection.CurrentState = state;
            return connection;
        });

        Assert.Equal("3 Open, 1 HalfClosed, 1 Flushing, 2 Lingering, 1 Aborted", Holders.DescribeStates(connections));
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

    // As the client's end of a Unix domain socket, which is bound to no path.
    private sealed class NamelessEndPoint : EndPoint
    {
        public override string ToString() => string.Empty;
    }
}
