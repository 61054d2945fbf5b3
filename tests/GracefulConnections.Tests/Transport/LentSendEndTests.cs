using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Stress;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>
/// The end of an output, with a step of another thread's at each point in its middle. Whoever lends memory waits for
/// the end of the send, and must learn of it in every order.
/// </summary>
[Collection(DelayedThreads.Name)]
public sealed class LentSendEndTests
{
    private static readonly byte[] Bytes = new byte[10];

    [Fact]
    public async Task SendFails_OutputIsSealedInTheMiddle_EndsTheLentSend()
    {
        await ForEachPointAsync(async point =>
        {
            var (sut, sink, lent) = Create();
            Assert.True(sut.TryLend(lent, new(Bytes)));
            var wait = WaitAsync(lent);

            var isThere = At(point, sink.Fail, () => sut.Seal(LeftOver.Send));

            Assert.True((await wait.WithinLimit()).IsCompleted);
            return isThere;
        });
    }

    [Fact]
    public async Task SendFails_MemoryIsLentInTheMiddle_EndsTheLentSend()
    {
        await ForEachPointAsync(async point =>
        {
            var (sut, sink, lent) = Create();
            await sut.WriteAsync(Bytes);

            var isThere = At(point, sink.Fail, () => Assert.True(sut.TryLend(lent, new(Bytes))));

            Assert.Equal(isThere, (await WaitAsync(lent).WithinLimit()).IsCompleted);
            return isThere;
        });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task TryLend_SendFailsInTheMiddle_EndsTheLentSend(bool isSealed)
    {
        await ForEachPointAsync(async point =>
        {
            var (sut, sink, lent) = Create();
            await sut.WriteAsync(Bytes);

            var isThere = At(point, () => sut.TryLend(lent, new(Bytes)), () =>
            {
                if (isSealed)
                {
                    sut.Seal(LeftOver.Send);
                }

                sink.Fail();
            });

            if (isThere)
            {
                Assert.True((await WaitAsync(lent).WithinLimit()).IsCompleted);
            }

            return isThere;
        });
    }

    // Until there is no such point any more. The first one is there, or the test tests nothing.
    private static async Task ForEachPointAsync(Func<int, Task<bool>> runAsync)
    {
        var point = 0;
        while (await runAsync(point))
        {
            point++;
        }

        Assert.True(point > 0, "The code has no points in its middle any more.");
    }

    private static bool At(int point, Action act, Action inTheMiddle)
    {
        var thread = Environment.CurrentManagedThreadId;
        Interleaving.Set(() =>
        {
            if (Environment.CurrentManagedThreadId == thread && point-- == 0)
            {
                inTheMiddle();
            }
        });
        try
        {
            act();
        }
        finally
        {
            Interleaving.Set(null);
        }

        return point < 0;
    }

    private static (SendLoop Output, HeldSink Sink, LentSend Lent) Create()
    {
        var sink = new HeldSink();
        return (new SendLoop(new Pipe(), sink, new RecordingEvents()), sink, new LentSend());
    }

    private static async Task<FlushResult> WaitAsync(LentSend lent) => await lent.WaitAsync();

    // A kernel that takes nothing until its send fails.
    private sealed class HeldSink : ISendSink
    {
        private readonly TaskCompletionSource<long> _sending = new();

        public bool SeesAcknowledgements => true;

        public bool IsKernel => true;

        public bool CanHalfClose => true;

        // On this thread goes on who sends.
        public void Fail() => _sending.SetException(new IOException("The send failed."));

        public ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) => new(_sending.Task);

        public ValueTask EndAsync(long writtenBytes, long sentBytes) => default;

        public DeliveryStatus GetDelivery(long writtenBytes, long sentBytes, bool finSent, bool allSent) => default;

        public void Abort(bool resets)
        {
        }
    }
}
