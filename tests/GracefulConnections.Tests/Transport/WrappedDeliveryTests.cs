using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Transport;

/// <summary>How far bytes got that another middleware takes from us: here the test is that middleware, and sends what it made of them.</summary>
public class WrappedDeliveryTests
{
    private const int HandshakeBytes = 1000;
    private const int ReplyBytes = 20_000; // Two records.
    private const int RecordBytes = ReplyBytes + (2 * (5 + 8));
    private static readonly TimeSpan Settled = TimeSpan.FromMilliseconds(10);

    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task SeesAcknowledgements_OnlyBelowTlsAndNotOnAUnixSocket()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var tcp = await SocketPair.ConnectAsync();
        using var unix = await SocketPair.ConnectAsync(isUnix: true);

        Assert.True(Create(tcp, isTls: true).SeesAcknowledgements);
        Assert.False(Create(tcp, isTls: false).SeesAcknowledgements);
        Assert.False(Create(unix, isTls: true).SeesAcknowledgements);
    }

    [Fact]
    public async Task Get_TlsHoldsTheReply_IsNotDelivered()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = await StartTlsAsync(pair);

        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);

        Assert.Equal((false, false, (long?)ReplyBytes), (delivery.IsDelivered, delivery.IsReset, delivery.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Get_TlsRecordsAreAcknowledged_IsDelivered()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = await StartTlsAsync(pair);

        await SendAsync(pair, RecordBytes - 1);
        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((false, (long?)null), (delivery.IsDelivered, delivery.UnacknowledgedBytes)); // A part, and nobody knows of what.
        await SendAsync(pair, 1);

        delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((true, (long?)0), (delivery.IsDelivered, delivery.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Get_TlsRecordsAreAcknowledgedAndPeerResets_StaysDelivered()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = await StartTlsAsync(pair);
        await SendAsync(pair, RecordBytes);
        sut.Get(ReplyBytes, ReplyBytes, ended: false); // As before close_notify, which such a peer answers with RST.

        await ResetAsync(pair);

        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((true, false, (long?)0), (delivery.IsDelivered, delivery.IsReset, delivery.UnacknowledgedBytes));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Get_PeerResetsBefore_IsReset(bool isTls)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = Create(pair, isTls);
        sut.Start();

        await ResetAsync(pair);

        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((false, true), (delivery.IsDelivered, delivery.IsReset));
    }

    // Who closes waits for a quiet moment there, before it asks.
    [Fact]
    public async Task Get_WithoutTls_IsDeliveredWhenAllIsAcknowledged()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = Create(pair, isTls: false);
        sut.Start();

        await SendAsync(pair, ReplyBytes);

        Assert.False(sut.Get(ReplyBytes, ReplyBytes, ended: false).IsDelivered);
        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((true, (long?)0), (delivery.IsDelivered, delivery.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Get_TlsWithFewerBytesThanWritten_IsDeliveredWhenItHasSettled()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = Create(pair, isTls: true);
        sut.Start();

        await SendAsync(pair, 1);
        Assert.False(sut.Get(ReplyBytes, ReplyBytes, ended: true).IsDelivered);
        _time.Advance(Settled - TimeSpan.FromMilliseconds(1));
        Assert.False(sut.Get(ReplyBytes, ReplyBytes, ended: true).IsDelivered);
        await SendAsync(pair, 1); // It moves: the quiet begins anew.
        Assert.False(sut.Get(ReplyBytes, ReplyBytes, ended: true).IsDelivered);
        _time.Advance(Settled - TimeSpan.FromMilliseconds(1));
        Assert.False(sut.Get(ReplyBytes, ReplyBytes, ended: true).IsDelivered);
        _time.Advance(TimeSpan.FromMilliseconds(1));

        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((true, (long?)0), (delivery.IsDelivered, delivery.UnacknowledgedBytes));
        Assert.False(sut.Get(ReplyBytes, ReplyBytes, ended: false).IsDelivered); // Without an end there is nothing to deliver.
    }

    [Fact]
    public async Task Get_SocketDisposed_IsGone()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Reads TCP_INFO.");
        using var pair = await SocketPair.ConnectAsync();
        var sut = Create(pair, isTls: false);

        pair.Own.Dispose();

        var delivery = sut.Get(ReplyBytes, ReplyBytes, ended: true);
        Assert.Equal((true, false, (long?)null), (delivery.IsGone, delivery.IsDelivered, delivery.UnacknowledgedBytes));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Get_UnixSocket_IsDeliveredWhenThePeerHasReadIt(bool isTls)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Asks for the send queue.");
        using var pair = await SocketPair.ConnectAsync(isUnix: true);
        var sut = Create(pair, isTls);
        pair.Own.Send(new byte[100]);
        var unread = sut.Get(100, 100, ended: true);
        Assert.Equal((false, (long?)null), (unread.IsDelivered, unread.UnacknowledgedBytes));

        Assert.Equal(100, pair.Peer.Receive(new byte[200]));

        Assert.False(sut.Get(100, 100, ended: false).IsDelivered);
        var delivery = sut.Get(100, 100, ended: true);
        Assert.Equal((true, (long?)0), (delivery.IsDelivered, delivery.UnacknowledgedBytes));
    }

    private static Task UntilAsync(SocketPair pair, Func<TcpInfo, bool> condition) => TestLimit.UntilAsync(() => TcpInfo.TryRead(pair.Own, out var info) && condition(info));

    private static async Task SendAsync(SocketPair pair, int count)
    {
        pair.Own.Send(new byte[count]);
        await TestLimit.UntilAsync(() => SocketQueue.GetSendLength(pair.Own) == 0);
    }

    private static Task ResetAsync(SocketPair pair)
    {
        pair.ResetByPeer();
        return UntilAsync(pair, static info => info.State == TcpInfo.Closed);
    }

    private WrappedDelivery Create(SocketPair pair, bool isTls) => new(new SocketQueue(pair.Own), isTls, _time);

    private async Task<WrappedDelivery> StartTlsAsync(SocketPair pair)
    {
        var delivery = Create(pair, isTls: true);
        await SendAsync(pair, HandshakeBytes);
        delivery.Start();
        return delivery;
    }
}
