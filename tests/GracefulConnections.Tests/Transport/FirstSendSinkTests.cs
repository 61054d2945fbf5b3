using System.IO.Pipelines;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>Where the output goes when a middleware stands before us, which may have written by our first send.</summary>
public sealed class FirstSendSinkTests : IAsyncLifetime
{
    private readonly PoisoningMemoryPool _pool = new(quarantineCount: int.MaxValue);
    private readonly RecordingEvents _events = new();
    private readonly Pipe _server = new();
    private SocketPair _pair = null!;
    private SendLoop _sut = null!;

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(PlatformProbe.Current.TrustsSendQueue, "Asks for the send queue.");
        _pair = await SocketPair.ConnectAsync();
        var queue = new SocketQueue(_pair.Own);
        var delivery = new WrappedDelivery(queue, isTls: false, TimeProvider.System);
        var sink = new FirstSendSink(queue, _server.Writer, delivery);
        _sut = new SendLoop(
            new Pipe(new PipeOptions(_pool, useSynchronizationContext: false)),
            sink,
            _events);
    }

    public ValueTask DisposeAsync()
    {
        _pair?.Dispose();
        _pool.ThrowIfViolated();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task WriteAsync_NobodyHasSent_GoesToTheSocket()
    {
        await _sut.WriteAsync("abc"u8.ToArray());
        _pair.Own.Send("x"u8); // Too late: what we send is in order with what we sent.
        await _sut.WriteAsync("d"u8.ToArray());
        _sut.Seal(LeftOver.Send);

        Assert.Equal("abcxd", await ReadPeerAsync(5));
        await _pair.ReadPeerToEndAsync(0);
        Assert.True(_sut.CanHalfClose);
        Assert.False(_server.Reader.TryRead(out _));
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task WriteAsync_SomebodyHasSentSinceTheStart_GoesThroughTheServersPipe()
    {
        Assert.True(_sut.CanHalfClose);
        _pair.Own.Send("x"u8);

        await _sut.WriteAsync("abc"u8.ToArray());
        await _sut.WriteAsync("d"u8.ToArray());
        _sut.Complete();

        Assert.False(_sut.CanHalfClose);
        var result = await _server.Reader.ReadAsync();
        Assert.Equal(("abcd", false), (Encoding.ASCII.GetString(result.Buffer), result.IsCompleted));
        Assert.Equal([nameof(ITransportEvents.OnOutputCompleted), nameof(ITransportEvents.OnFinSent)], _events.Told);
        Assert.Equal("x", await ReadPeerAsync(1));
        Assert.Equal(0, _pair.Peer.Available);
        _sut.Seal(LeftOver.Send);
        await _sut.Ended.WithinLimit();
        Assert.Equal(_pool.RentedCount, _pool.ReturnedCount);
    }

    [Fact]
    public async Task Complete_NothingWrittenAndSomebodyHasSent_SendsNoFin()
    {
        _pair.Own.Send("x"u8);

        _sut.Complete();

        Assert.False(_sut.CanHalfClose);
        _pair.Own.Send("y"u8); // The server's, behind our end.
        Assert.Equal("xy", await ReadPeerAsync(2));
    }

    [Fact]
    public async Task WriteAsync_ServerHasClosedItsPipe_IsAReset()
    {
        _pair.Own.Send("x"u8);
        _server.Reader.Complete();

        await _sut.WriteAsync("abc"u8.ToArray());

        Assert.True(TransportFault.IsReset(_events.Fault!));
        Assert.True((await _sut.FlushAsync()).IsCompleted);
    }

    private async Task<string> ReadPeerAsync(int count)
    {
        var bytes = new byte[count];
        for (var received = 0; received < count;)
        {
            received += await _pair.Peer.ReceiveAsync(bytes.AsMemory(received)).WithinLimit();
        }

        return Encoding.ASCII.GetString(bytes);
    }
}
