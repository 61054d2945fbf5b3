using System.Net;
using System.Net.Sockets;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Testing;

/// <summary>The peer that tests play, against a socket that the test holds.</summary>
public sealed class ScriptedPeerTests : IAsyncLifetime
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private ScriptedPeer _sut = null!;
    private Socket _server = null!;

    public async ValueTask InitializeAsync()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
        _sut = await ScriptedPeer.ConnectAsync(_listener.LocalEndPoint!);
        _server = await _listener.AcceptAsync().WithinLimit();
    }

    public async ValueTask DisposeAsync()
    {
        await _sut.DisposeAsync();
        _server.Dispose();
        _listener.Dispose();
    }

    [Fact]
    public async Task SendUrgent_OneByte_IsOutOfBandAndInNoOrdinaryRead()
    {
        await _sut.SendAsync("ab"u8.ToArray());
        await _sut.SendUrgentAsync((byte)'!');
        await _sut.SendAsync("cd"u8.ToArray());
        _sut.HalfClose();

        Assert.Equal("ab"u8.ToArray(), await ReceiveAsync(2));
        var urgent = new byte[1];
        Assert.Equal(1, _server.Receive(urgent, SocketFlags.OutOfBand));
        Assert.Equal((byte)'!', urgent[0]);
        Assert.Equal("cd"u8.ToArray(), await ReceiveAsync(2));
        Assert.Equal(0, await _server.ReceiveAsync(urgent).WithinLimit());
    }

    [Fact]
    public async Task Trickle_ThreeParts_OneAtATimeByTheClock()
    {
        var time = new FakeTimeProvider();
        var trickle = _sut.TrickleAsync("abcde"u8.ToArray(), 2, TimeSpan.FromSeconds(1), time);
        Assert.Equal("ab"u8.ToArray(), await ReceiveAsync(2));
        Assert.False(trickle.IsCompleted);
        Assert.Equal(0, _server.Available);

        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("cd"u8.ToArray(), await ReceiveAsync(2));
        Assert.False(trickle.IsCompleted);

        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal("e"u8.ToArray(), await ReceiveAsync(1));
        await trickle.WithinLimit();
    }

    [Fact]
    public async Task WaitForEnd_Fin_IsSeenWithoutReading()
    {
        await _server.SendAsync("unread"u8.ToArray()).WithinLimit();
        var end = _sut.WaitForEndAsync();
        Assert.False(end.IsCompleted);

        _server.Shutdown(SocketShutdown.Send);

        Assert.Equal(PeerSaw.Eof, await end);
        Assert.Equal((6, PeerSaw.Eof), await _sut.ReadToEndAsync()); // Nothing was taken.
    }

    [Fact]
    public async Task WaitForEnd_Reset_IsSeenAndLeftToTheNextRead()
    {
        var end = _sut.WaitForEndAsync();
        Assert.False(end.IsCompleted);

        _server.Close(0);

        Assert.Equal(PeerSaw.Reset, await end);
        Assert.Equal((0, PeerSaw.Reset), await _sut.ReadToEndAsync());
    }

    [Fact]
    public async Task ReadAll_ToTheFin_KeepsWhatCame()
    {
        await _server.SendAsync("all of it"u8.ToArray()).WithinLimit();
        _server.Shutdown(SocketShutdown.Send);
        using var received = new MemoryStream();

        Assert.Equal((9, PeerSaw.Eof), await _sut.ReadAllAsync(received));
        Assert.Equal("all of it"u8.ToArray(), received.ToArray());
    }

    [Fact]
    public async Task StopReading_MoreArrives_StaysUnreadUntilReadAgain()
    {
        await _server.SendAsync(new byte[1_000]).WithinLimit();
        _sut.StartReading();
        await _sut.ReadingPassesOrEndsAsync(1_000);
        await _sut.StopReadingAsync();

        await _server.SendAsync(new byte[500]).WithinLimit();
        await TestLimit.UntilAsync(() => _sut.Socket.Available == 500);
        Assert.Equal(1_000, _sut.ReceivedBytes);

        _server.Shutdown(SocketShutdown.Send);
        Assert.Equal((500, PeerSaw.Eof), await _sut.ReadToEndAsync());
    }

    [Fact]
    public async Task Upload_Started_SendsUntilStopped()
    {
        _sut.StartUpload();
        await _sut.UploadPassesOrEndsAsync(ScriptedPeer.UploadChunkBytes);

        await _sut.StopUploadAsync();

        Assert.InRange(_sut.UploadedBytes, ScriptedPeer.UploadChunkBytes, long.MaxValue);
    }

    [Fact]
    public async Task Reset_Peer_IsAnRst()
    {
        _sut.Reset();

        var receiving = _server.ReceiveAsync(new byte[1]).WithinLimit();

        var exception = await Assert.ThrowsAsync<SocketException>(() => receiving);
        Assert.Equal(SocketError.ConnectionReset, exception.SocketErrorCode);
    }

    [Fact]
    public async Task ReadExactly_FinTooEarly_TellsHowMuchCame()
    {
        await _server.SendAsync("abc"u8.ToArray()).WithinLimit();
        _server.Shutdown(SocketShutdown.Send);

        var exception = await Assert.ThrowsAsync<EndOfStreamException>(() => _sut.ReadExactlyAsync(5));
        Assert.Contains("3 of 5", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Receive_Poison_Throws()
    {
        var poison = new byte[PoisoningMemoryPool.BlockBytes];
        poison.AsSpan().Fill(PoisoningMemoryPool.PoisonByte);
        await _server.SendAsync(poison).WithinLimit();

        await Assert.ThrowsAsync<InvalidOperationException>(() => _sut.ReadExactlyAsync(poison.Length));
    }

    private async Task<byte[]> ReceiveAsync(int count)
    {
        var bytes = new byte[count];
        for (var received = 0; received < count;)
        {
            var more = await _server.ReceiveAsync(bytes.AsMemory(received)).WithinLimit();
            Assert.NotEqual(0, more);
            received += more;
        }

        return bytes;
    }
}
