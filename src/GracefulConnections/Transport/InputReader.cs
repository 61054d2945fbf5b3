using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>
/// The input as the handler sees it. It is the only caller of the transport's reader: it hands on what the peer sends, cancels
/// the handler's read when the connection was asked to close, and discards what comes once nobody reads any more.
/// </summary>
/// <remarks>
/// The lock guards the state and nothing else. Whoever sets <see cref="Inner.Call"/> owns the transport's reader and is the only
/// one that calls it, without the lock: a reader that blocks, or that runs the handler inline, holds up nobody else.
/// </remarks>
internal sealed partial class InputReader : PipeReader, IValueTaskSource<ReadResult>
{
    private readonly Lock _lock = new();
    private readonly PipeReader _inner;
    private readonly KernelQueue? _probe;
    private readonly InputKind _kind;
    private readonly ITransportEvents _events;
    private readonly Activity _activity;
    private readonly TimeProvider _clock;

    private ManualResetValueTaskSourceCore<ReadResult> _wait; // The handler's pending read.
    private ReadOnlySequence<byte> _buffer; // What the handler holds.
    private User _user;
    private Inner _state;
    private (SequencePosition Consumed, SequencePosition Examined)? _deferredAdvance;
    private bool _cancelledByHandler;
    private long _bufferedBytes; // Seen before and not consumed.
    private long _receivedBytes;
    private long _discardedBytes;
    private volatile bool _resetSeen;
    private volatile bool _peerReset;
    private volatile bool _endedByReset;
    private volatile bool _endHanded;

    /// <param name="inner">The transport's own reader.</param>
    /// <param name="probe">The socket below it; <see langword="null"/> where there is none.</param>
    /// <param name="kind">Whose reader it is.</param>
    /// <param name="events">Who is told.</param>
    /// <param name="activity">Where it is noted what was read when.</param>
    /// <param name="clock">What time it is.</param>
    public InputReader(
        PipeReader inner,
        KernelQueue? probe,
        InputKind kind,
        ITransportEvents events,
        Activity activity,
        TimeProvider clock)
    {
        _inner = inner;
        _probe = probe;
        _kind = kind;
        _events = events;
        _activity = activity;
        _clock = clock;
        _isDiscardDue = kind == InputKind.Transport;
    }

    /// <summary>Who uses the transport's reader at this moment.</summary>
    private enum Inner
    {
        /// <summary>Nobody.</summary>
        Free,

        /// <summary>One thread is inside of it, and only that one leaves this state.</summary>
        Call,

        /// <summary>A read of it is pending.</summary>
        Pending,
    }

    /// <summary>What the handler does. Declared in the order in which it can only move forward from <see cref="Refused"/> on.</summary>
    private enum User
    {
        /// <summary>Nothing.</summary>
        None,

        /// <summary>It waits in a read.</summary>
        Waits,

        /// <summary>It holds a buffer.</summary>
        Holds,

        /// <summary>Its read was cancelled by a close request, and so is every later one.</summary>
        Refused,

        /// <summary>It completed the reader.</summary>
        Completed,

        /// <summary>It has returned.</summary>
        Closed,
    }

    /// <summary>Gets the bytes that were read from the transport, by the handler or by the discard.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <summary>Gets the bytes that nobody consumed.</summary>
    public long DiscardedBytes => Volatile.Read(ref _discardedBytes);

    /// <summary>Gets whether something of the peer's, perhaps its FIN, waits in the kernel for us to read it.</summary>
    public bool IsBehind => _probe?.IsBehind() == true;

    /// <summary>Gets whether the kernel has given the connection up, as after a reset.</summary>
    public bool IsConnectionOver => _probe?.IsOver(finSent: false) == true;

    /// <summary>Gets whose reader it is.</summary>
    public InputKind Kind => _kind;

    /// <summary>Gets whether the handler waits in a read.</summary>
    public bool IsWaiting
    {
        get
        {
            lock (_lock)
            {
                return _user == User.Waits;
            }
        }
    }

    /// <summary>Gets whether the handler waits for more with everything consumed.</summary>
    public bool IsWaitingForMessage
    {
        get
        {
            lock (_lock)
            {
                return _user == User.Waits && _bufferedBytes == 0;
            }
        }
    }

    /// <summary>
    /// Gets whether the connection was over when the input of TLS ended. An abort of ours makes that end an error, so this one was
    /// the peer's or the network's.
    /// </summary>
    public bool EndedByReset => _endedByReset;

    /// <summary>Gets whether the handler was told that the peer or the network ended the connection.</summary>
    public bool ResetSeen => _resetSeen;

    /// <summary>Gets whether the handler was handed the peer's end of the input.</summary>
    public bool EndHanded => _endHanded;

    /// <summary>Gets the exception by which the handler was told that the peer or the network ended the connection.</summary>
    public Exception? ResetException { get; private set; }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        bool held;
        lock (_lock)
        {
            switch (_user)
            {
                case User.Refused:
                    return RefuseAsync();
                case User.Completed:
                    throw CreateCompletedException();
                case User.Closed:
                    throw CreateClosedException();
                case User.Waits:
                    throw new InvalidOperationException(
                        "A read is pending already. Await it before the next one.");
            }

            held = _user == User.Holds;
            _user = User.Waits;
            _wait.Reset();
            _readToken = cancellationToken;
            if (_state != Inner.Free)
            {
                // The owner, which does something between two reads, reads for the handler when it is done.
                _activity.IsReadPending = true;
                return new ValueTask<ReadResult>(this, _wait.Version);
            }

            _state = Inner.Call;
        }

        return ReadForHandler(held, cancellationToken);
    }

    public override bool TryRead(out ReadResult result)
    {
        lock (_lock)
        {
            switch (_user)
            {
                case User.Refused:
                    throw CreateRefusedException();
                case User.Completed:
                    throw CreateCompletedException();
                case User.Closed:
                    throw CreateClosedException();
                case User.Waits:
                    throw new InvalidOperationException(
                        "A read is pending already. Await it before the next one.");
            }

            if (_state != Inner.Free)
            {
                result = default;
                return false;
            }

            _state = Inner.Call;
        }

        return TryReadForHandler(out result);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        lock (_lock)
        {
            switch (_user)
            {
                case User.Refused:
                    return;
                case User.Completed:
                    throw CreateCompletedException();
                case User.Closed:
                    throw CreateClosedException();
            }

            if (_state == Inner.Call)
            {
                _deferredAdvance = (consumed, examined); // The owner does it before anything else reads.
                return;
            }

            if (_state == Inner.Free)
            {
                _state = Inner.Call;
            }
            else
            {
                throw new InvalidOperationException("A read is pending. AdvanceTo() belongs to the read before it.");
            }
        }

        var isFree = false;
        try
        {
            isFree = Advance(consumed, examined);
        }
        finally
        {
            if (!isFree)
            {
                GoOn();
            }
        }
    }

    public override void CancelPendingRead()
    {
        lock (_lock)
        {
            if (_user >= User.Refused)
            {
                return;
            }

            _cancelledByHandler = true; // Before the call: the read that it completes must find it.
        }

        _inner.CancelPendingRead();
    }

    public override void Complete(Exception? exception = null) => StopServing(User.Completed);

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    protected override async ValueTask<ReadResult> ReadAtLeastAsyncCore(int minimumSize, CancellationToken cancellationToken)
    {
        while (true)
        {
            var result = await ReadAsync(cancellationToken).ConfigureAwait(false);
            if (result.Buffer.Length >= minimumSize || result.IsCompleted || result.IsCanceled)
            {
                return result;
            }

            AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    private static ConnectionResetException CreateResetException() => new("The peer reset the connection.");

    private static ObjectDisposedException CreateClosedException() => new(
        nameof(PipeReader),
        "The connection has ended: its handler returned, and what the peer sends now is discarded.");

    private static InvalidOperationException CreateCompletedException() => new(
        "The input was completed, and what the peer sends now is discarded. Read everything before Input.Complete().");
}
