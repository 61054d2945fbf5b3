using System.Buffers;
using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading.Tasks.Sources;

namespace GracefulConnections.Transport;

/// <summary>
/// One send that gathers all segments of a buffer into one call. Rented while a send runs: an idle connection holds
/// none.
/// </summary>
internal sealed class SendOperation()
    : SocketAsyncEventArgs(unsafeSuppressExecutionContextFlow: true), IValueTaskSource<long>
{
    // 1 MiB of Kestrel's 4 KiB blocks a call: far below IOV_MAX (1024), and progress stays visible.
    private const int MaxSegments = 256;

    private const int MaxPooled = 1024; // As many as Kestrel's own pool keeps.

    private static readonly ConcurrentQueue<SendOperation> Pool = new();
    private static int _pooled;

    private ManualResetValueTaskSourceCore<long> _source;
    private List<ArraySegment<byte>>? _segments;

    /// <summary>Takes an operation from those that no connection of the process uses.</summary>
    public static SendOperation Rent()
    {
        if (!Pool.TryDequeue(out var operation))
        {
            return new SendOperation();
        }

        Interlocked.Decrement(ref _pooled);
        return operation;
    }

    /// <summary>
    /// Sends from the front of <paramref name="buffer"/>, and goes back to the pool when the result was taken. Of a
    /// send that fails behind a part, the result is that part: the next one fails.
    /// </summary>
    public ValueTask<long> SendAsync(Socket socket, in ReadOnlySequence<byte> buffer)
    {
        if (buffer.IsSingleSegment || !TryGather(buffer))
        {
            SetBuffer(MemoryMarshal.AsMemory(ISendSink.FirstOf(buffer)));
        }

        var isPending = false;
        try
        {
            isPending = socket.SendAsync(this);
            return isPending ? new ValueTask<long>(this, _source.Version) : new ValueTask<long>(GetSent());
        }
        finally
        {
            if (!isPending)
            {
                Return();
            }
        }
    }

    long IValueTaskSource<long>.GetResult(short token)
    {
        try
        {
            _source.GetResult(token);
            return GetSent();
        }
        finally
        {
            _source.Reset();
            Return();
        }
    }

    ValueTaskSourceStatus IValueTaskSource<long>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<long>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    protected override void OnCompleted(SocketAsyncEventArgs e) => _source.SetResult(0);

    private long GetSent() =>
        SocketError == SocketError.Success || BytesTransferred > 0 ? BytesTransferred
            : IsDisposal(SocketError) ? throw new ObjectDisposedException(nameof(Socket))
            : throw new SocketException((int)SocketError);

    // These mean that the socket was closed under the send.
    private static bool IsDisposal(SocketError error) =>
        error is SocketError.OperationAborted
            or SocketError.Interrupted
            or SocketError.NotSocket
            or SocketError.InvalidArgument;

    // Only memory that is backed by arrays can be gathered. A pool may hand out other memory: it goes by itself.
    private bool TryGather(in ReadOnlySequence<byte> buffer)
    {
        _segments ??= [];
        foreach (var memory in buffer)
        {
            if (_segments.Count == MaxSegments || !MemoryMarshal.TryGetArray(memory, out var segment))
            {
                break;
            }

            _segments.Add(segment);
        }

        if (_segments.Count == 0)
        {
            return false;
        }

        BufferList = _segments;
        return true;
    }

    private void Return()
    {
        if (BufferList is not null)
        {
            BufferList = null;
            _segments!.Clear();
        }
        else
        {
            SetBuffer(default);
        }

        if (Interlocked.Increment(ref _pooled) > MaxPooled)
        {
            Interlocked.Decrement(ref _pooled);
            Dispose();
            return;
        }

        Pool.Enqueue(this);
    }
}
