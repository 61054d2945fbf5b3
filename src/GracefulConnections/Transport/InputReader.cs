using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>
/// The input as the handler sees it. Delegates to the transport's reader; ends a wait at a message boundary when a close was requested; and discards what
/// the peer sends once nobody reads any more. A wait that was taken from the handler goes on as the discard's first read, so the transport never sees two.
/// </summary>
/// <param name="inner">The transport's own reader.</param>
/// <param name="probe">The socket below it; <see langword="null"/> where there is none.</param>
/// <param name="isWrapped">Whether a middleware stands between the reader and the socket, so that what one has received does not compare with what the other has, and a read that
/// is pending may hold the middleware's memory.</param>
/// <param name="events">Who is told.</param>
/// <param name="activity">Where it is noted when bytes were read; <see langword="null"/> when that is of no interest.</param>
internal sealed class InputReader(PipeReader inner, SocketProbe? probe, bool isWrapped, ITransportEvents events, Activity? activity = null) : PipeReader, IValueTaskSource<ReadResult>
{
    /// <summary>How long after the last byte arrived a middleware may still have something for the handler: where threads are short, much longer than it takes.</summary>
    public static readonly TimeSpan LongestWayThroughMiddleware = TimeSpan.FromMilliseconds(250);

    private const int MaxReadsInARow = 16;

    private static readonly ReadResult EndOfInput = new(ReadOnlySequence<byte>.Empty, isCanceled: false, isCompleted: true);

    private readonly Lock _lock = new();
    private ManualResetValueTaskSourceCore<ReadResult> _wait;
    private ConfiguredValueTaskAwaitable<ReadResult>.ConfiguredValueTaskAwaiter _read;
    private ValueTask<ReadResult> _innerRead; // Only to look whether it has completed. While the handler waits, nobody else knows.
    private Action? _onReadCompleted;
    private ReadOnlySequence<byte> _buffer;
    private Mode _mode;
    private bool _handedOut;
    private bool _waiting;
    private bool _endRequested;
    private (short Wait, long ReceivedBytes)? _unconfirmed;
    private CancellationToken _readToken;
    private Action? _betweenReads;
    private bool _reading; // A read of the transport's reader is under way.
    private bool _stopped;
    private bool _discardIsDue;
    private bool _endSeen;
    private bool _cancelled;
    private bool _cancelledByHandler;
    private long _bufferedBytes;
    private long _receivedBytes;
    private long _discardedBytes;
    private volatile bool _resetSeen;
    private volatile bool _peerReset;
    private volatile bool _endedByReset;

    private enum Mode
    {
        Serving,

        // The input was ended at a message boundary: the handler reads as if the peer had half-closed.
        Ended,

        // The handler completed the reader.
        Completed,

        // The handler returned.
        Closed,
    }

    /// <summary>Gets the bytes that were read from the transport, by the handler or by the discard.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <summary>Gets the bytes that nobody consumed.</summary>
    public long DiscardedBytes => Volatile.Read(ref _discardedBytes);

    /// <summary>Gets whether something of the peer's, perhaps its FIN, waits in the kernel for us to read it.</summary>
    public bool IsBehind => probe?.IsBehind() == true;

    /// <summary>Gets whether a middleware stands between the transport and us, so that <see cref="StopAsync"/> must come before its end.</summary>
    public bool IsWrapped => isWrapped;

    /// <summary>Gets whether the handler waits for more with everything consumed.</summary>
    public bool IsAtMessageBoundary
    {
        get
        {
            lock (_lock)
            {
                return _waiting && _bufferedBytes == 0;
            }
        }
    }

    /// <summary>
    /// Gets whether the connection was over when the input of a wrapped transport ended. An abort of ours makes that end an error, so this one was the peer's or the network's.
    /// </summary>
    public bool EndedByReset => _endedByReset;

    /// <summary>Gets whether the handler was told that the peer reset the connection.</summary>
    public bool ResetSeen => _resetSeen;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        lock (_lock)
        {
            if (TryGetEnd_NeedsLock())
            {
                return new ValueTask<ReadResult>(EndOfInput);
            }

            if (_waiting)
            {
                throw new InvalidOperationException("A read is pending already. Await it before the next one.");
            }

            if (TryRead_NeedsLock(cancellationToken, out var result))
            {
                return new ValueTask<ReadResult>(result);
            }

            _wait.Reset();
            _waiting = true;
            _readToken = isWrapped ? cancellationToken : default;
            Await(ForwardAsync(_innerRead));
            if (_endRequested && TryEndWait_NeedsLock())
            {
                return new ValueTask<ReadResult>(EndOfInput);
            }

            return new ValueTask<ReadResult>(this, _wait.Version);
        }
    }

    public override bool TryRead(out ReadResult result)
    {
        lock (_lock)
        {
            if (TryGetEnd_NeedsLock())
            {
                result = EndOfInput;
                return true;
            }

            do
            {
                try
                {
                    if (!inner.TryRead(out result))
                    {
                        return false;
                    }
                }
                catch (Exception exception) when (TryGetReset(exception) is { } reset)
                {
                    throw reset;
                }
            }
            while (TryIgnoreCancellation_NeedsLock(result));

            Accept_NeedsLock(result);
            return true;
        }
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        lock (_lock)
        {
            if (TryGetEnd_NeedsLock())
            {
                return;
            }

            if (_handedOut)
            {
                _bufferedBytes = consumed.Equals(_buffer.End) ? 0 : _buffer.Slice(consumed).Length;
                _handedOut = false;
                _buffer = default;
            }

            inner.AdvanceTo(consumed, examined);
        }
    }

    public override void CancelPendingRead()
    {
        lock (_lock)
        {
            if (_mode == Mode.Serving)
            {
                _cancelledByHandler = isWrapped;
                inner.CancelPendingRead();
            }
        }
    }

    public override void Complete(Exception? exception = null) => StopServing(Mode.Completed);

    /// <summary>The peer's reset was noticed, perhaps by a send. The abort that follows must not look like ours: the handler's read fails as if the read had noticed it.</summary>
    public void OnPeerReset() => _peerReset = true;

    /// <summary>
    /// The handler has returned: from now on what the peer sends is discarded, so that it is never blocked by a full window. Behind a middleware only from <see cref="Discard"/> on:
    /// a read that waits there would have to be cancelled for close_notify, which costs more than all the rest of a close.
    /// </summary>
    public void Close() => StopServing(Mode.Closed);

    /// <summary>Begins with what <see cref="Close"/> has left for later, if anything.</summary>
    public void Discard()
    {
        if (_discardIsDue)
        {
            _discardIsDue = false;
            DiscardUntilEnd();
        }
    }

    /// <summary>
    /// Ends the input at the next message boundary: when the handler waits with everything consumed and nothing has arrived. Call it again some time later: where
    /// bytes might have been on their way from the kernel to the reader, the second look finds them, or ends the same wait.
    /// </summary>
    /// <returns>Whether this ended it.</returns>
    public bool EndAtMessageBoundary()
    {
        lock (_lock)
        {
            _endRequested = true;
            if (!TryEndWait_NeedsLock())
            {
                return false;
            }
        }

        WakeHandler(null);
        return true;
    }

    /// <summary>Takes <see cref="EndAtMessageBoundary"/> back, unless the input has ended.</summary>
    public void GoOn()
    {
        lock (_lock)
        {
            _endRequested = false;
        }
    }

    /// <summary>Runs <paramref name="action"/> at a moment when no read of the transport's reader is under way, nor can begin. It must be short and must not throw.</summary>
    public void RunBetweenReads(Action action)
    {
        lock (_lock)
        {
            if (!_reading)
            {
                action();
                return;
            }

            _betweenReads += action;
            _cancelled = true; // A read that completes all the same leaves it to the next one.
            inner.CancelPendingRead();
        }
    }

    /// <summary>Ends the discard. After this nothing of the transport's reader is used any more: its owner may take its memory back.</summary>
    public Task StopAsync()
    {
        var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _stopped = true;
            RunBetweenReads(stopped.SetResult);
        }

        return stopped.Task;
    }

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
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

    private static ObjectDisposedException CreateClosedException() =>
        new(nameof(PipeReader), "The connection has ended: its handler returned, and what the peer sends now is discarded.");

    private static InvalidOperationException CreateCompletedException() =>
        new("The input was completed, and what the peer sends now is discarded. Read everything before Input.Complete().");

    private bool TryGetEnd_NeedsLock() => _mode switch
    {
        Mode.Serving => false,
        Mode.Ended => true,
        Mode.Completed => throw CreateCompletedException(),
        _ => throw CreateClosedException(),
    };

    /// <returns><see langword="false"/> when the read is pending: <see cref="_innerRead"/>.</returns>
    private bool TryRead_NeedsLock(CancellationToken cancellationToken, out ReadResult result)
    {
        result = default;
        try
        {
            do
            {
                var read = inner.ReadAsync(cancellationToken);
                if (!read.IsCompleted)
                {
                    _innerRead = read;
                    _reading = true;
                    return false;
                }

                result = read.GetAwaiter().GetResult();
            }
            while (TryIgnoreCancellation_NeedsLock(result));
        }
        catch (Exception exception) when (TryGetReset(exception) is { } reset)
        {
            throw reset;
        }

        Accept_NeedsLock(result);
        return true;
    }

    /// <summary>Takes back a read that we cancelled ourselves, for something to happen between two reads. The handler must not see that.</summary>
    private bool TryIgnoreCancellation_NeedsLock(in ReadResult result)
    {
        if (!result.IsCanceled)
        {
            return false;
        }

        var ours = _cancelled && !_cancelledByHandler;
        _cancelled = false;
        _cancelledByHandler = false;
        if (ours)
        {
            inner.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }

        return ours;
    }

    private ConnectionResetException? TryGetReset(Exception exception)
    {
        var reset = exception as ConnectionResetException
            ?? (_peerReset && exception is ConnectionAbortedException ? new ConnectionResetException(exception.Message, exception) : null);
        _resetSeen |= reset is not null;
        return reset;
    }

    private void Accept_NeedsLock(in ReadResult result)
    {
        var length = result.Buffer.Length;
        if (length > _bufferedBytes)
        {
            activity?.OnReceived(isFirst: _bufferedBytes == 0);
        }

        Volatile.Write(ref _receivedBytes, _receivedBytes + length - _bufferedBytes);
        if (result.IsCompleted && EndsByReset())
        {
            _bufferedBytes = 0;
            inner.AdvanceTo(result.Buffer.End);
            _resetSeen = true;
            throw CreateResetException();
        }

        _bufferedBytes = length;
        _buffer = result.Buffer;
        _handedOut = true;
    }

    // The kernel tells of a reset once. If it told a send of ours, the transport's receive saw an end as if by FIN, and the handler would take a part for the whole.
    private bool EndsByReset()
    {
        NoteEnd();
        return (!isWrapped && probe?.IsResetBeforeFin(ReceivedBytes) == true) || _peerReset; // In this order: after the abort that follows the latter, the kernel tells nothing.
    }

    // Behind TLS a reset may come after close_notify, with nothing missing, so that there the end stays one. Only the first look counts: by the next one we may have aborted.
    private void NoteEnd()
    {
        if (!_endSeen)
        {
            _endSeen = true;
            _endedByReset = isWrapped && probe?.IsOver(finSent: false) == true;
        }
    }

    // A pipe hands the state machine that waits for it to the thread pool as it is, and anything else in a work item of its own. Only for the handler's reads, one for each
    // message: a connection that lingers reads once, and this one would cost it more memory while it waits.
    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private static async ValueTask<ReadResult> ForwardAsync(ValueTask<ReadResult> read) => await read.ConfigureAwait(false);

    private void Await(ValueTask<ReadResult> read)
    {
        _read = read.ConfigureAwait(false).GetAwaiter();
        _read.UnsafeOnCompleted(_onReadCompleted ??= OnReadCompleted);
    }

    private void OnReadCompleted()
    {
        bool forHandler;
        ReadResult result = default;
        Exception? error = null;
        lock (_lock)
        {
            EndRead_NeedsLock();
            forHandler = _waiting;
            if (forHandler)
            {
                try
                {
                    result = _read.GetResult();
                    if (!TryIgnoreCancellation_NeedsLock(result))
                    {
                        Accept_NeedsLock(result);
                    }
                    else if (!TryRead_NeedsLock(_readToken, out result))
                    {
                        Await(ForwardAsync(_innerRead)); // The same wait goes on.
                        return;
                    }
                }
                catch (Exception exception)
                {
                    error = TryGetReset(exception) ?? exception; // The handler's to catch: its await throws it.
                }

                _waiting = false;
            }
        }

        if (!forHandler)
        {
            if (TryDiscard(_read))
            {
                DiscardUntilEnd();
            }
        }
        else if (error is null)
        {
            _wait.SetResult(result);
        }
        else
        {
            _wait.SetException(error);
        }
    }

    private void EndRead_NeedsLock()
    {
        _reading = false;
        var betweenReads = _betweenReads;
        _betweenReads = null;
        betweenReads?.Invoke();
    }

    private bool TryEndWait_NeedsLock()
    {
        // A read that has completed has something for the handler, which is about to be told.
        if (!_waiting || _mode != Mode.Serving || _bufferedBytes != 0 || HasInnerReadCompleted_NeedsLock())
        {
            return false;
        }

        var unread = probe is null ? (isWrapped ? UnreadInput.Unknown : (UnreadInput?)null) : GetUnreadInput(probe);
        switch (unread)
        {
            case UnreadInput.Some:
                return false;

            // Not yet: unless the very same wait is still pending at the next look.
            case UnreadInput.Unknown when !IsSameWait_NeedsLock():
                return false;

            default:
                _mode = Mode.Ended;
                _waiting = false; // The pending read is the discard's now.
                return true;
        }
    }

    private static UnreadInput GetUnreadInput(SocketProbe probe) =>
        probe.GetUnreadLength(out var isDead) > 0 || isDead ? UnreadInput.Some : UnreadInput.Unknown;

    private bool IsSameWait_NeedsLock()
    {
        // Behind a middleware, bytes that came in between may be a part of something that it can only hand on as a whole, and those that came a moment ago may still be on their way.
        TcpInfo info = default;
        var isBehindTcp = isWrapped && probe?.TryGetTcpInfo(out info) == true;
        var wait = (_wait.Version, isBehindTcp ? info.ReceivedBytes : 0);
        var isSame = _unconfirmed == wait && (!isBehindTcp || info.SinceReceived >= LongestWayThroughMiddleware);
        _unconfirmed = wait;
        return isSame;
    }

    private bool HasInnerReadCompleted_NeedsLock()
    {
        try
        {
            return _innerRead.IsCompleted;
        }
        catch (InvalidOperationException)
        {
            return true; // Its result was taken this very moment, and we are about to be told.
        }
    }

    private void StopServing(Mode mode)
    {
        bool wasServing;
        bool wasWaiting;
        lock (_lock)
        {
            wasServing = _mode == Mode.Serving;
            wasWaiting = _waiting;
            if (_mode < mode)
            {
                _mode = mode;
            }

            if (wasServing)
            {
                _waiting = false;
                Volatile.Write(ref _discardedBytes, _bufferedBytes);
                if (_handedOut)
                {
                    _handedOut = false;
                    _bufferedBytes = 0;
                    inner.AdvanceTo(_buffer.End);
                    _buffer = default;
                }
            }
        }

        if (wasWaiting)
        {
            WakeHandler(mode == Mode.Closed ? CreateClosedException() : CreateCompletedException());
        }
        else if (wasServing)
        {
            _discardIsDue = isWrapped && mode == Mode.Closed;
            if (!_discardIsDue)
            {
                DiscardUntilEnd();
            }
        }
    }

    // On the thread pool: whoever requested the close must not run the handler.
    private void WakeHandler(Exception? exception) => ThreadPool.UnsafeQueueUserWorkItem(
        static state =>
        {
            if (state.exception is null)
            {
                state.reader._wait.SetResult(EndOfInput);
            }
            else
            {
                state.reader._wait.SetException(state.exception);
            }
        },
        (reader: this, exception),
        preferLocal: false);

    private void DiscardUntilEnd()
    {
        for (var i = 0; i < MaxReadsInARow; i++)
        {
            ValueTask<ReadResult> read;
            try
            {
                lock (_lock)
                {
                    if (_stopped)
                    {
                        return;
                    }

                    read = inner.ReadAsync(CancellationToken.None);
                    _reading = !read.IsCompleted;
                }
            }
            catch (Exception exception)
            {
                events.OnFaulted(exception); // Whatever an unknown transport throws is how this connection ended; it is logged there.
                return;
            }

            if (!read.IsCompleted)
            {
                Await(read);
                return;
            }

            if (!TryDiscard(read.ConfigureAwait(false).GetAwaiter()))
            {
                return;
            }
        }

        // A peer that sends as fast as we read must not hold this thread: it has a close to bring to its end, or other connections to serve.
        ThreadPool.UnsafeQueueUserWorkItem(static reader => reader.DiscardUntilEnd(), this, preferLocal: false);
    }

    private bool TryDiscard(ConfiguredValueTaskAwaitable<ReadResult>.ConfiguredValueTaskAwaiter read)
    {
        ReadResult result;
        long arrived;
        try
        {
            result = read.GetResult();
            arrived = result.Buffer.Length - _bufferedBytes;
            Volatile.Write(ref _receivedBytes, _receivedBytes + arrived);
            Volatile.Write(ref _discardedBytes, _discardedBytes + arrived);
            _bufferedBytes = 0;
            inner.AdvanceTo(result.Buffer.End);
        }
        catch (OperationCanceledException exception) when (exception is not ConnectionAbortedException)
        {
            return true; // The token of the handler's last read, which it may cancel at any time.
        }
        catch (Exception exception)
        {
            events.OnFaulted(exception);
            return false;
        }

        if (arrived > 0)
        {
            activity?.OnReceived(isFirst: false);
            events.OnBytesDiscarded();
        }

        if (!result.IsCompleted)
        {
            return true;
        }

        NoteEnd();
        events.OnPeerFin(); // If it was a reset that a send was told of, that send tells of it as well.
        return false;
    }
}
