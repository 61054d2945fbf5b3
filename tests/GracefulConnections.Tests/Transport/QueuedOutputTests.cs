using System.Buffers;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>The output of a connection that was made, where the test is the socket.</summary>
public class QueuedOutputTests
{
    private const int LargeBytes = 100_000;

    private readonly List<byte[]> _sends = [];
    private readonly QueuedOutput _sut;
    private TaskCompletionSource? _gate;
    private int _ends;
    private int _mostInOneSend = int.MaxValue;

    public QueuedOutputTests() => _sut = new QueuedOutput(SendAsync, () => _ends++, MemoryPool<byte>.Shared);

    // A send for each of the pipe's blocks would be 25 system calls.
    [Fact]
    public async Task WriteAsync_ManyBlocks_AreOneSend()
    {
        var bytes = CreateBytes();

        await _sut.WriteAsync(bytes);

        Assert.Equal(bytes, Assert.Single(_sends));
        Assert.Equal(0, _sut.UnflushedBytes);
    }

    [Fact]
    public async Task WriteAsync_SocketTakesAPart_TheRestFollowsInOrder()
    {
        _mostInOneSend = 30_000;
        var bytes = CreateBytes();

        await _sut.WriteAsync(bytes);
        await _sut.CompleteAsync();

        Assert.Equal([30_000, 30_000, 30_000, 10_000], _sends.Select(static send => send.Length));
        Assert.Equal(bytes, _sends.SelectMany(static send => send));
        Assert.Equal((0, 1), (_sut.UnflushedBytes, _ends));
    }

    [Fact]
    public async Task FlushAsync_AnotherOneWaits_BothWaitForEverything()
    {
        _gate = new TaskCompletionSource();
        var first = _sut.WriteAsync(new byte[1]).AsTask();
        var second = _sut.WriteAsync(new byte[2]).AsTask();
        Assert.False(first.IsCompleted || second.IsCompleted);

        _gate.SetResult();

        Assert.Equal(default, await first.WithinLimit());
        Assert.Equal(default, await second.WithinLimit());
        Assert.Equal([1, 2], _sends.Select(static send => send.Length));
    }

    [Fact]
    public async Task FlushAsync_IsGivenUpWhileAnotherOneWaits_OnlyThatOneIsCancelled()
    {
        _gate = new TaskCompletionSource();
        using var givenUp = new CancellationTokenSource();
        var first = _sut.WriteAsync(new byte[1], givenUp.Token).AsTask();
        var second = _sut.WriteAsync(new byte[2]).AsTask();

        givenUp.Cancel();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first.WithinLimit());
        Assert.False(second.IsCompleted);
        _gate.SetResult();
        Assert.Equal(default, await second.WithinLimit());
        Assert.Equal([1, 2], _sends.Select(static send => send.Length));
    }

    [Fact]
    public async Task CancelPendingFlush_OneWaits_IsCancelledAndTheNextOneWaits()
    {
        _gate = new TaskCompletionSource();
        var first = _sut.WriteAsync(new byte[1]).AsTask();

        _sut.CancelPendingFlush();

        Assert.True((await first.WithinLimit()).IsCanceled);
        var second = _sut.FlushAsync().AsTask();
        Assert.False(second.IsCompleted);
        _gate.SetResult();
        Assert.Equal(default, await second.WithinLimit());
        _sut.CancelPendingFlush(); // None waits: the next one is cancelled, as a pipe's.
        Assert.True((await _sut.FlushAsync()).IsCanceled);
        Assert.False((await _sut.FlushAsync()).IsCanceled);
    }

    [Fact]
    public async Task FlushAsync_SendFails_AllThatWaitAndLaterOnesFail()
    {
        _gate = new TaskCompletionSource();
        var first = _sut.WriteAsync(new byte[1]).AsTask();
        var second = _sut.WriteAsync(new byte[2]).AsTask();

        _gate.SetException(new IOException("broken"));

        await Assert.ThrowsAsync<IOException>(() => first.WithinLimit());
        await Assert.ThrowsAsync<IOException>(() => second.WithinLimit());
        await Assert.ThrowsAsync<IOException>(async () => await _sut.FlushAsync());
        await Assert.ThrowsAsync<IOException>(() => _sut.SendAllAsync(CancellationToken.None).WithinLimit());
        Assert.Equal(0, _ends);
    }

    // As a pipe's own flush: an application that listens for errors which nobody has seen hears of none.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task FlushAsync_NobodyAwaitsItAndTheSendFails_IsNoUnobservedException(bool hasToken)
    {
        var fault = new IOException("broken");
        var count = 0;
        EventHandler<UnobservedTaskExceptionEventArgs> note = (_, unobserved) =>
            count += unobserved.Exception.InnerExceptions.Contains(fault) ? 1 : 0;
        TaskScheduler.UnobservedTaskException += note;
        try
        {
            await FailAsync(fault, hasToken);
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= note;
        }

        Assert.Equal(0, count);
    }

    private async Task FailAsync(Exception fault, bool hasToken)
    {
        _gate = new TaskCompletionSource();
        using var cancellation = new CancellationTokenSource();
        Flush(hasToken ? cancellation.Token : CancellationToken.None);
        _gate.SetException(fault);
        await Assert.ThrowsAsync<IOException>(() => _sut.SendAllAsync(CancellationToken.None).WithinLimit());
    }

    // In a frame of its own, which keeps nothing alive.
    private void Flush(CancellationToken cancellationToken) => _sut.WriteAsync(new byte[1], cancellationToken).AsTask();

    private static byte[] CreateBytes()
    {
        var bytes = new byte[LargeBytes];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    private async ValueTask<long> SendAsync(ReadOnlySequence<byte> buffer)
    {
        if (_gate is not null)
        {
            await _gate.Task;
        }

        var sent = buffer.Slice(0, Math.Min(buffer.Length, _mostInOneSend)).ToArray();
        _sends.Add(sent);
        return sent.Length;
    }
}
