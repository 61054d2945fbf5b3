using System.IO.Pipelines;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Tests.Transport;

/// <summary>The output of a connection whose end the server brings about, because what stands below is not known.</summary>
public class LeftToServerTests
{
    [Fact]
    public async Task Seal_PipeBelow_FlushesTheRestAndDoesNotCompleteIt()
    {
        var pipe = new Pipe();
        var events = new RecordingEvents();
        var sut = new PipeOutput(pipe.Writer, null, isLeftToServer: true, events);
        sut.GetSpan(3);
        sut.Advance(3);

        sut.Seal(LeftOver.Send);

        await sut.Ended.WithinLimit();
        Assert.False(sut.CanHalfClose);
        Assert.Equal([nameof(ITransportEvents.OnFinSent)], events.Told);
        var result = await pipe.Reader.ReadAsync();
        Assert.Equal((3L, false), (result.Buffer.Length, result.IsCompleted));
        await pipe.Writer.WriteAsync(new byte[1]); // Still the server's.
    }

    [Fact]
    public async Task Complete_WithAnException_FlushesNothingMoreAndTellsThatAnAbortIsDue()
    {
        var pipe = new Pipe();
        var events = new RecordingEvents();
        var sut = new PipeOutput(pipe.Writer, null, isLeftToServer: true, events);
        await sut.WriteAsync(new byte[2]);
        sut.GetSpan(3);
        sut.Advance(3);

        sut.Complete(new InvalidTimeZoneException());

        await sut.Ended.WithinLimit();
        Assert.Equal([nameof(ITransportEvents.OnOutputFaulted), nameof(ITransportEvents.OnAllSent)], events.Told);
        var result = await pipe.Reader.ReadAsync();
        Assert.Equal((2L, false), (result.Buffer.Length, result.IsCompleted));
    }

    [Fact]
    public async Task WriteAsync_StreamBelowHasOneUnderWay_WaitsForItsTurn()
    {
        var below = new Pipe(new PipeOptions(pauseWriterThreshold: 4, resumeWriterThreshold: 2, useSynchronizationContext: false));
        var sut = new PipeOutput(PipeWriter.Create(below.Writer.AsStream()), null, isLeftToServer: true, new RecordingEvents());
        var bytes = "abcde"u8.ToArray();
        var first = sut.WriteAsync(bytes).AsTask();
        var second = sut.WriteAsync(bytes).AsTask();
        "fghij"u8.CopyTo(bytes); // The caller's again, as with any pipe.
        var third = sut.WriteAsync(bytes).AsTask();
        Assert.False(first.IsCompleted || second.IsCompleted || third.IsCompleted);
        Assert.True(sut.IsWriteBlocked);

        var text = string.Empty;
        while (text.Length < 15)
        {
            var result = await below.Reader.ReadAsync().WithinLimit();
            text += Encoding.ASCII.GetString(result.Buffer);
            below.Reader.AdvanceTo(result.Buffer.End);
        }

        await Task.WhenAll(first, second, third).WithinLimit();
        Assert.Equal("abcdeabcdefghij", text);
        Assert.Equal((15L, 15L), (sut.WrittenBytes, sut.SentBytes));
        await TestLimit.UntilAsync(() => !sut.IsWriteBlocked);
    }

    // A flush that is cancelled in the middle makes the writer of a stream send once more what the stream has taken.
    [Fact]
    public async Task GiveUpGoodbye_StreamBelowHoldsIt_NothingIsSentTwiceOrCut()
    {
        var below = new Pipe(new PipeOptions(pauseWriterThreshold: 4, resumeWriterThreshold: 2, useSynchronizationContext: false));
        var sut = new PipeOutput(PipeWriter.Create(below.Writer.AsStream()), null, isLeftToServer: true, new RecordingEvents());
        using var goodbye = new CancellationTokenSource();
        sut.BeginGoodbye();
        "abcde"u8.CopyTo(sut.GetSpan(5));
        sut.Advance(5);
        var saying = sut.FlushAsync(goodbye.Token).AsTask();
        Assert.False(saying.IsCompleted);

        await goodbye.CancelAsync();
        sut.GiveUpGoodbye();

        await Assert.ThrowsAsync<TaskCanceledException>(() => saying.WithinLimit());
        sut.Seal(LeftOver.Send);
        var result = await below.Reader.ReadAsync().WithinLimit();
        Assert.Equal("abcde", Encoding.ASCII.GetString(result.Buffer));
        below.Reader.AdvanceTo(result.Buffer.End);
        await sut.Ended.WithinLimit();
        Assert.False(below.Reader.TryRead(out _));
    }

    // A transport and a TLS of one make: the same assembly says nothing of what a byte on the socket would be.
    [Fact]
    public async Task Create_UnknownTransportWithASocket_IsLeftToServer()
    {
        using var pair = await SocketPair.ConnectAsync();
        var connection = new UnknownConnection(pair.Own);

        var transport = ConnectionTransport.Create(connection, new RecordingEvents());

        Assert.Equal(LeftToServerReason.Wrapped, transport.ReasonAtStart);
        Assert.IsType<PipeOutput>(transport.Output);
        await transport.Output.WriteAsync(new byte[3]);
        Assert.Equal(0, pair.Peer.Available);
        Assert.Equal(0, SocketQueue.GetSendLength(pair.Own));
    }

    [Fact]
    public async Task Create_NoSocket_IsNotLeftToServer()
    {
        await using var connection = new InMemoryConnection();

        var transport = ConnectionTransport.Create(connection, new RecordingEvents());

        Assert.Equal(LeftToServerReason.None, transport.ReasonAtStart);
        Assert.True(transport.Output.CanHalfClose);
    }

    private sealed class UnknownConnection : ConnectionContext, IConnectionSocketFeature, IDuplexPipe
    {
        private readonly Pipe _pipe = new();

        public UnknownConnection(Socket socket)
        {
            Socket = socket;
            Transport = this;
            Features.Set<IConnectionSocketFeature>(this);
        }

        public Socket Socket { get; }

        public PipeReader Input => _pipe.Reader;

        public PipeWriter Output => _pipe.Writer;

        public override string ConnectionId { get; set; } = "unknown";

        public override IFeatureCollection Features { get; } = new FeatureCollection();

        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

        public override IDuplexPipe Transport { get; set; }
    }
}
