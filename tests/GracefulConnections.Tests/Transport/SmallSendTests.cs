using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>
/// Flushes that follow each other at once are sent together, as on stock. With <c>NoDelay</c> off the kernel holds a
/// small send back until the one before was acknowledged, which the peer may delay by 40 ms.
/// </summary>
public class SmallSendTests
{
    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public async Task WriteAsync_SmallSendsAreHeld_IsSentInsideOfTheCallIfTheServerWould(bool areHeld, bool sendsInline)
    {
        var sink = new WatchingSink(areHeld);
        var sut = new SendLoop(new Pipe(), sink, new RecordingEvents(), sendsInline);

        sink.Writer = Environment.CurrentManagedThreadId;
        var flush = sut.WriteAsync(new byte[3], CancellationToken.None);
        sink.Writer = 0;

        Assert.False((await flush.AsTask().WithinLimit()).IsCompleted);
        Assert.Equal(!areHeld || sendsInline, await sink.SentInside.WithinLimit());
    }

    // The kernel sends each at once, but a system call for each would be most of the work of a feed.
    [Theory]
    [InlineData(true, false)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task WriteAsync_BehindOthers_IsSentInsideOfTheCallIfItAnswersOrTheServerWould(bool answers, bool sendsInline)
    {
        var sink = new WatchingSink(holdsSmallSends: false);
        var events = new RecordingEvents();
        var sut = new SendLoop(new Pipe(), sink, events, sendsInline);
        for (var i = 0; i < Feed.ShortRow; i++)
        {
            sink.Forget();
            await sut.WriteAsync(new byte[3], CancellationToken.None);
            await sink.SentInside.WithinLimit();
        }

        sink.Forget();
        if (answers)
        {
            events.Activity.OnHanded();
        }

        sink.Writer = Environment.CurrentManagedThreadId;
        var flush = sut.WriteAsync(new byte[3], CancellationToken.None);
        sink.Writer = 0;

        Assert.False((await flush.AsTask().WithinLimit()).IsCompleted);
        Assert.Equal(answers || sendsInline, await sink.SentInside.WithinLimit());
    }

    [Fact]
    public async Task Seal_WriteWaitsForTheThreadPool_SendsItAndFin()
    {
        using var pair = await SocketPair.ConnectAsync();
        pair.Own.NoDelay = false;
        var sut = new SendLoop(new Pipe(), new SocketQueue(pair.Own), new RecordingEvents());
        for (var i = 0; i < 100; i++)
        {
            await sut.WriteAsync(new byte[3], CancellationToken.None);
        }

        sut.Seal(LeftOver.Send);

        await pair.ReadPeerToEndAsync(300);
    }

    [Theory]
    [InlineData(false, true)]
    [InlineData(true, false)]
    public async Task HoldsSmallSends_SomethingWasSent_IsTheSocketsOption(bool noDelay, bool expected)
    {
        using var pair = await SocketPair.ConnectAsync();
        pair.Own.NoDelay = noDelay;
        var sut = new SocketQueue(pair.Own);

        Assert.Equal(expected, sut.HoldsSmallSends(hasSent: true));
        Assert.Equal(expected, sut.HoldsSmallSends(hasSent: false));
        using var next = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Assert.True(!expected || new SocketQueue(next).HoldsSmallSends(hasSent: false)); // Others are asked earlier.
    }

    [Fact]
    public async Task HoldsSmallSends_UnixDomainSocketOrOneThatIsGone_IsNot()
    {
        using var unix = await SocketPair.ConnectAsync(isUnix: true);
        Assert.False(new SocketQueue(unix.Own).HoldsSmallSends(hasSent: true));
        using var gone = await SocketPair.ConnectAsync(IPAddress.Loopback);
        var sut = new SocketQueue(gone.Own);
        gone.Own.Dispose();
        Assert.False(sut.HoldsSmallSends(hasSent: true));
    }

    private sealed class WatchingSink(bool holdsSmallSends) : ISendSink
    {
        private TaskCompletionSource<bool> _sentInside = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private volatile int _writer;

        /// <summary>Gets whether it was sent on the thread of the writer, inside of its call.</summary>
        public Task<bool> SentInside => _sentInside.Task;

        /// <summary>Gets or sets which thread is inside of a call.</summary>
        public int Writer
        {
            get => _writer;
            set => _writer = value;
        }

        public bool SeesAcknowledgements => true;

        public bool IsKernel => true;

        public bool CanHalfClose => true;

        /// <summary>The next send is the first.</summary>
        public void Forget() => _sentInside = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool HoldsSmallSends(bool hasSent) => holdsSmallSends;

        public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer)
        {
            _sentInside.TrySetResult(Writer == Environment.CurrentManagedThreadId);
            return new(buffer.Length);
        }

        public ValueTask EndAsync(long writtenBytes, long sentBytes) => default;

        public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent) => default;

        public void Abort(bool resets)
        {
        }
    }
}
