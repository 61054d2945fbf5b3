using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Transport;

/// <summary>
/// The input as the handler sees it, and the only caller of the transport's reader: it hands on what the peer sends,
/// cancels the handler's read when the connection was asked to close, and discards what comes once nobody reads.
/// </summary>
/// <remarks>
/// There is no lock. One word says who may call the transport's reader, and its owner calls it with nothing held: a
/// reader that blocks, or that runs the handler inline, holds up nobody else. Fields that only the owner writes are
/// written before the exchange by which it lets go of the reader.
/// </remarks>
internal sealed partial class ReadPump(PipeReader inner, KernelQueue? queue, InputKind kind, ITransportEvents events)
    : PipeReader
{
    /// <summary>How long a read waits that comes after two which were refused.</summary>
    public static readonly TimeSpan RefusalDelay = TimeSpan.FromSeconds(1);

    private ReadWord _word = new(ReadState.Create(kind));
    private HandlerWait _handler = new(kind == InputKind.Transport); // Null from the discard's first wait on.
    private long _bufferedBytes; // Seen before and not consumed.
    private long _receivedBytes;
    private long _consumedBytes;
    private bool _isAllExamined = true; // By the handler, so that its read waits for more.
    private bool _isInnerCompleted; // By the handler.
    private bool _hidesPart; // What the handler's last read has examined, and never showed.
    private InputEnd _end;

    public InputKind Kind => kind;

    /// <summary>Gets how the input ended, as far as it has.</summary>
    public ref readonly InputEnd End => ref _end;

    /// <summary>Gets the bytes that were read from the transport, by the handler or by the discard.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <summary>Gets the bytes that nobody consumed; 0 as long as the handler can.</summary>
    public long DiscardedBytes => State.IsGone ? ReceivedBytes - Volatile.Read(ref _consumedBytes) : 0;

    /// <summary>Gets whether something of the peer's, perhaps its FIN, waits in the kernel for us to read it.</summary>
    public bool IsBehind => queue?.IsBehind() == true;

    /// <summary>
    /// Gets whether nothing but the peer's FIN waits in the kernel. <see langword="false"/> where that cannot be seen.
    /// </summary>
    public bool HasPeerFin => queue?.IsClosedByFin(ReceivedBytes) == true;

    /// <inheritdoc cref="KernelQueue.HasUnnoticedReset"/>
    public bool HasUnnoticedReset => queue?.HasUnnoticedReset() == true;

    /// <summary>Gets whether the kernel has given the connection up, as after a reset.</summary>
    public bool IsConnectionOver => queue?.IsOver(finSent: false) == true;

    /// <summary>Gets whether the handler waits in a read.</summary>
    public bool IsWaiting => State.User is InputUser.Waits or InputUser.Reads;

    /// <summary>Gets whether the handler waits for more with everything consumed.</summary>
    public bool IsWaitingForMessage => IsWaiting && Volatile.Read(ref _bufferedBytes) == 0;

    private ReadState State => _word.State;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        var handler = _handler;
        var seen = State;
        if (seen.User == InputUser.Refused)
        {
            return RefuseAsync();
        }

        if (handler is null)
        {
            throw InputErrors.Create(seen.User, CloseRequested);
        }

        if (cancellationToken.IsCancellationRequested && !seen.IsGone)
        {
            return ValueTask.FromCanceled<ReadResult>(cancellationToken);
        }

        if (IsSameRead(seen.User, cancellationToken))
        {
            return handler.Task;
        }

        ReadStep step;
        ReadState next;
        do
        {
            step = ReadTransitions.BeginRead(seen, out next);
            if (step == ReadStep.Fail)
            {
                throw InputErrors.Create(seen.User, CloseRequested);
            }

            // Before the exchange, because somebody else may end the wait right behind it.
            handler.Begin(step == ReadStep.Own && seen.User == InputUser.Holds, cancellationToken);
            events.Activity.IsReadPending = true;
        }
        while (!_word.TryMove(ref seen, next));

        var wait = handler.Task;
        if (step == ReadStep.Own)
        {
            Carry(ReadStep.Read, next);
        }

        // What fails at once is thrown at once, as by the server's own pipe.
        return kind == InputKind.Transport && wait.IsFaulted
            ? new ValueTask<ReadResult>(wait.GetAwaiter().GetResult())
            : wait;
    }

    public override bool TryRead(out ReadResult result)
    {
        result = default;
        if (_hidesPart)
        {
            ShowAgain();
        }

        var step = _word.Move(ReadTransitions.BeginTryRead, out var seen, out var now);
        switch (step)
        {
            case ReadStep.Fail:
                throw InputErrors.Create(seen.User, CloseRequested);
            case ReadStep.None:
                return false;
        }

        _handler.HeldBefore = seen.User == InputUser.Holds;
        while (true)
        {
            try
            {
                if (!inner.TryRead(out result))
                {
                    FailRead(_handler.HeldBefore);
                    GoOn();
                    return false;
                }

                step = Take(ref result, out now);
            }
            catch (Exception exception)
            {
                var error = _end.Explain(exception);
                FailRead(_handler.HeldBefore);
                GoOn();
                if (ReferenceEquals(error, exception))
                {
                    throw; // As the transport's own reader does.
                }

                throw error;
            }

            switch (step)
            {
                case ReadStep.Fail:
                    GoOn();
                    throw _end.GetReset();
                case ReadStep.Discard:
                    if (TryDiscard(result))
                    {
                        GoOn();
                    }

                    throw InputErrors.Create(State.User, CloseRequested);
                case ReadStep.Read:
                    break;
                default:
                    Carry(step, now);
                    return true;
            }
        }
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        switch (_word.Move(ReadTransitions.BeginAdvance, out var seen, out _))
        {
            case ReadStep.Fail:
                throw InputErrors.Create(seen.User, CloseRequested);
            case ReadStep.None:
                return;
        }

        var given = false;
        try
        {
            // Before the call, by which the blocks go back to their pool.
            var (consumedBytes, isAllExamined) = (0L, _isAllExamined);
            if (seen.User == InputUser.Holds)
            {
                var held = _handler.Result.Buffer;
                (consumedBytes, isAllExamined) = (BufferOffset.Get(held, consumed), examined.Equals(held.End));
            }

            inner.AdvanceTo(consumed, examined);
            given = true;
            _hidesPart = false;
            _isAllExamined = isAllExamined;
            Volatile.Write(ref _consumedBytes, _consumedBytes + consumedBytes);
            Volatile.Write(ref _bufferedBytes, _bufferedBytes - consumedBytes);
            _handler.Result = default;
        }
        finally
        {
            Carry(_word.Move(ReadTransitions.EndAdvance, given, out _, out var now), now);
        }
    }

    public override void CancelPendingRead()
    {
        if (_word.Move(ReadTransitions.Cancel, out _, out _) == ReadStep.Cancel)
        {
            inner.CancelPendingRead(); // After the exchange, because the read that it completes must find the flag.
        }
    }

    /// <summary>A handler reads again. Nobody knows what is new to it, because others may have read.</summary>
    public void OnResumed() => _isAllExamined = false;

    /// <summary>Another middleware may go on reading: from now on nothing is discarded.</summary>
    public void Share() => _word.Move(ReadTransitions.Share, out _, out _);

    public override void Complete(Exception? exception = null)
    {
        if (kind == InputKind.Foreign && State.User != InputUser.Closed)
        {
            // Nothing of another middleware's reader is discarded, and its end may mean something to the middleware.
            _isInnerCompleted = true;
            EndServing(InputUser.Completed);
            inner.Complete(exception);
        }
        else
        {
            EndServing(InputUser.Completed);
        }
    }

    [Obsolete("As in the base class.")]
    public override void OnWriterCompleted(Action<Exception?, object?> callback, object? state) =>
        inner.OnWriterCompleted(callback, state);

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    protected override async ValueTask<ReadResult> ReadAtLeastAsyncCore(
        int minimumSize, CancellationToken cancellationToken)
    {
        var hasPart = false;
        try
        {
            while (true)
            {
                var result = await ReadAsync(cancellationToken).ConfigureAwait(false);
                if (result.Buffer.Length >= minimumSize || result.IsCompleted || result.IsCanceled)
                {
                    return result;
                }

                AdvanceTo(result.Buffer.Start, result.Buffer.End);
                hasPart = true;
            }
        }
        catch (OperationCanceledException) when (hasPart && cancellationToken.IsCancellationRequested)
        {
            _hidesPart = true;
            if (kind != InputKind.Transport)
            {
                ShowAgain();
            }

            throw;
        }
    }

    // A pipe allows a read that nobody has awaited to be asked for again, and takes both for the same one. A handler
    // may poll in that way.
    private bool IsSameRead(InputUser user, CancellationToken cancellationToken) =>
        kind == InputKind.Transport
        && (user == InputUser.Waits || (user == InputUser.Holds && !_handler.IsTaken))
        && _handler.Token == cancellationToken;

    // The handler never saw what came before its read for more was cancelled. The reader of a stream, as of TLS,
    // returns that at once to the next read. A transport's pipe does so to a try only, and else waits for more.
    private void ShowAgain()
    {
        _hidesPart = false;
        if (_word.Move(ReadTransitions.ShowAgain, out _, out _) == ReadStep.Cancel)
        {
            _isAllExamined = false;
            inner.CancelPendingRead();
        }
    }
}
