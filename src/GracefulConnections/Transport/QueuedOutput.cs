using System.Buffers;
using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// A writer to a socket, whose flush waits until the socket has taken everything. What a flush leaves that is given up
/// goes on from a pipe, each byte once and in order: a writer straight onto the socket cannot know how much of it was
/// sent, and sends it again, or never.
/// </summary>
/// <param name="send">Sends from the front of a buffer, and says how much.</param>
/// <param name="end">Sends FIN, behind the last byte.</param>
/// <param name="pool">Where the memory comes from.</param>
internal sealed class QueuedOutput(
    Func<ReadOnlySequence<byte>, ValueTask<long>> send, Action end, MemoryPool<byte> pool) : PipeWriter
{
    private readonly Lock _lock = new();

    // Made when they are needed: an idle connection, or one whose output somebody else takes over, never needs them.
    private Pipe? _pipe;
    private Task? _sending;
    private TaskCompletionSource<FlushResult>? _waiting; // All flushes that wait, until the latest need not.
    private long _awaitedBytes;
    private long _writtenBytes;
    private long _sentBytes;
    private bool _isOver;
    private Exception? _fault;

    public override bool CanGetUnflushedBytes => true;

    /// <summary>Gets what the socket has not taken, flushed or not.</summary>
    public override long UnflushedBytes => Volatile.Read(ref _writtenBytes) - Volatile.Read(ref _sentBytes);

    /// <summary>Gets whether its user has completed it.</summary>
    public bool IsCompleted { get; private set; }

    // Its own flush never waits, because a pipe that is awaited twice ends itself, and a user need not await each one.
    // Its bytes are sent on the thread that flushes, if possible.
    private Pipe Pipe => _pipe ??= new Pipe(new PipeOptions(
        pool,
        readerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: 0,
        useSynchronizationContext: false));

    public override Memory<byte> GetMemory(int sizeHint = 0) => Pipe.Writer.GetMemory(sizeHint);

    public override Span<byte> GetSpan(int sizeHint = 0) => Pipe.Writer.GetSpan(sizeHint);

    public override void Advance(int bytes)
    {
        Pipe.Writer.Advance(bytes);
        Volatile.Write(ref _writtenBytes, _writtenBytes + bytes);
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        Begin();
        var flush = Pipe.Writer.FlushAsync(cancellationToken);
        return flush is { IsCompletedSuccessfully: true, Result: { IsCanceled: false, IsCompleted: false } }
            ? WaitAsync(_writtenBytes, cancellationToken)
            : flush;
    }

    public override void CancelPendingFlush()
    {
        TaskCompletionSource<FlushResult>? waiting;
        lock (_lock)
        {
            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.SetResult(new FlushResult(isCanceled: true, isCompleted: false));
        if (waiting is null)
        {
            _pipe?.Writer.CancelPendingFlush(); // The next one is cancelled, as a pipe's.
        }
    }

    /// <summary>Ends it behind everything that was written, and does not wait for that.</summary>
    public override void Complete(Exception? exception = null)
    {
        IsCompleted = true;
        Pipe.Writer.Complete(exception);
        Begin();
    }

    /// <summary>
    /// Sends everything that was written, and waits for that: also what a flush holds that its user does not await.
    /// </summary>
    /// <exception cref="IOException">The socket does not take it; or whatever else the send throws.</exception>
    public async Task SendAllAsync(CancellationToken cancellationToken)
    {
        while (UnflushedBytes > 0 && !IsCompleted && _sending is not { IsCompleted: true })
        {
            // The user may cancel it, and does not know of it.
            await ((Task)FlushAsync(cancellationToken).AsTask()).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            cancellationToken.ThrowIfCancellationRequested();
        }

        if (IsCompleted || _sending is { IsCompleted: true })
        {
            await _sending!.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private void Begin()
    {
        if (_sending is null && (IsCompleted || UnflushedBytes > 0))
        {
            // Nobody's execution context, because it outlives the flush that begins it.
            using (ExecutionContext.SuppressFlow())
            {
                _sending = SendAsync();
            }

            // Whoever flushes hears of its fault, if anybody does.
            _sending.ContinueWith(static sending => sending.Exception, TaskScheduler.Default);
        }
    }

    private async Task SendAsync()
    {
        var reader = Pipe.Reader;
        try
        {
            while (await ReadAsync(reader).ConfigureAwait(false) is { } read)
            {
                var unsent = read.Buffer;
                while (!unsent.IsEmpty)
                {
                    var sent = await send(unsent).ConfigureAwait(false);
                    unsent = unsent.Slice(sent);
                    OnSent(sent);
                }

                reader.AdvanceTo(read.Buffer.End);
            }
        }
        catch (Exception exception)
        {
            await reader.CompleteAsync(exception).ConfigureAwait(false); // No FIN, because something is missing.
            OnEnded(exception);
            throw;
        }

        end();
        await reader.CompleteAsync().ConfigureAwait(false);
        OnEnded(fault: null);
    }

    private ValueTask<FlushResult> WaitAsync(long written, CancellationToken cancellationToken)
    {
        Task<FlushResult> waiting;
        lock (_lock)
        {
            if (_sentBytes >= written || _isOver)
            {
                return _fault is null
                    ? new ValueTask<FlushResult>(new FlushResult(isCanceled: false, _isOver))
                    : ValueTask.FromException<FlushResult>(_fault);
            }

            _awaitedBytes = written;
            _waiting ??= new TaskCompletionSource<FlushResult>(TaskCreationOptions.RunContinuationsAsynchronously);
            waiting = _waiting.Task;
        }

        var wait = waiting.WaitAsync(cancellationToken);
        _ = wait.ContinueWith(static wait => wait.Exception, TaskScheduler.Default); // Perhaps nobody awaits it.
        return new ValueTask<FlushResult>(wait);
    }

    private void OnSent(long bytes)
    {
        TaskCompletionSource<FlushResult>? waiting = null;
        lock (_lock)
        {
            Volatile.Write(ref _sentBytes, _sentBytes + bytes);
            if (_sentBytes >= _awaitedBytes)
            {
                (waiting, _waiting) = (_waiting, null);
            }
        }

        waiting?.SetResult(default);
    }

    private void OnEnded(Exception? fault)
    {
        TaskCompletionSource<FlushResult>? waiting;
        lock (_lock)
        {
            (_isOver, _fault) = (true, fault);
            (waiting, _waiting) = (_waiting, null);
        }

        if (fault is null)
        {
            waiting?.SetResult(new FlushResult(isCanceled: false, isCompleted: true));
        }
        else
        {
            waiting?.SetException(fault);
        }
    }

    private async ValueTask<ReadResult?> ReadAsync(PipeReader reader)
    {
        try
        {
            var read = await reader.ReadAsync().ConfigureAwait(false);
            return read is { IsCompleted: true, Buffer.IsEmpty: true } ? null : read;
        }
        catch (Exception) when (IsCompleted)
        {
            return null; // By an exception of its user's, which means the end of it, too.
        }
    }
}
