using System.IO.Pipelines;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// The only caller of the transport's reader: it hands on what the peer sends, cancels the handler's read when the
/// connection was asked to close, and discards what comes once nobody reads any more.
/// </summary>
/// <remarks>
/// There is no lock. One word says who may call the transport's reader, and its owner calls it with nothing held: a
/// reader that blocks, or that runs the handler inline, holds up nobody else. Fields that only the owner writes are
/// written before the exchange by which it lets go of the reader.
/// </remarks>
internal sealed partial class ReadPump
{
    private readonly PipeReader _inner;
    private readonly KernelQueue? _probe;
    private readonly InputKind _kind;
    private readonly ITransportEvents _events;
    private readonly Activity _activity;

    private long _word;
    private ReadResult _result; // What the handler holds, or is about to be handed.
    private long _bufferedBytes; // Seen before and not consumed.
    private long _receivedBytes;
    private long _consumedBytes;
    private bool _isAllExamined = true; // By the handler, so that its read waits for more.
    private CancellationToken _readToken; // Of the handler's read that waits.
    private InputEnd _end;

    /// <param name="inner">The transport's own reader.</param>
    /// <param name="probe">The socket below it; <see langword="null"/> where there is none.</param>
    /// <param name="kind">Whose reader it is.</param>
    /// <param name="events">Who is told.</param>
    /// <param name="activity">Where it is noted what was read when.</param>
    /// <param name="clock">What time it is.</param>
    public ReadPump(
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
        _word = ReadState.Create(kind).Word;
        Handler = new HandlerInput(this, clock);
    }

    /// <summary>Gets the input as the handler sees it.</summary>
    public HandlerInput Handler { get; }

    /// <summary>Gets the bytes that were read from the transport, by the handler or by the discard.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    /// <summary>Gets the bytes that nobody consumed; 0 as long as the handler can.</summary>
    public long DiscardedBytes => State.IsGone ? ReceivedBytes - Volatile.Read(ref _consumedBytes) : 0;

    /// <summary>Gets whether something of the peer's, perhaps its FIN, waits in the kernel for us to read it.</summary>
    public bool IsBehind => _probe?.IsBehind() == true;

    /// <summary>Gets whether the kernel has given the connection up, as after a reset.</summary>
    public bool IsConnectionOver => _probe?.IsOver(finSent: false) == true;

    /// <summary>Gets whose reader it is.</summary>
    public InputKind Kind => _kind;

    /// <summary>Gets whether the handler waits in a read.</summary>
    public bool IsWaiting => State.User is InputUser.Waits or InputUser.Reads;

    /// <summary>Gets whether the handler waits for more with everything consumed.</summary>
    public bool IsWaitingForMessage => IsWaiting && Volatile.Read(ref _bufferedBytes) == 0;

    /// <inheritdoc cref="InputEnd.EndedByReset"/>
    public bool EndedByReset => _end.EndedByReset;

    /// <inheritdoc cref="InputEnd.ResetSeen"/>
    public bool ResetSeen => _end.ResetSeen;

    /// <inheritdoc cref="InputEnd.EndHanded"/>
    public bool EndHanded => _end.EndHanded;

    /// <inheritdoc cref="InputEnd.ResetException"/>
    public Exception? ResetException => _end.ResetException;

    private ReadState State => new(Volatile.Read(ref _word));

    /// <summary>Reads for the handler.</summary>
    public ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken)
    {
        var seen = State;
        while (true)
        {
            var step = ReadTransitions.BeginRead(seen, out var next);
            if (seen.User == InputUser.Refused)
            {
                return Handler.RefuseAsync(_closeRequested);
            }

            if (cancellationToken.IsCancellationRequested && !seen.IsGone)
            {
                return ValueTask.FromCanceled<ReadResult>(cancellationToken);
            }

            switch (step)
            {
                case ReadStep.Fail:
                    throw InputErrors.Create(seen.User, _closeRequested);
                case ReadStep.Own:
                    if (TryMove(ref seen, next))
                    {
                        return ReadForHandler(held: seen.User == InputUser.Holds, cancellationToken);
                    }

                    break;
                default:
                    var wait = Handler.Wait();
                    _readToken = cancellationToken;
                    _activity.IsReadPending = true;
                    if (TryMove(ref seen, next))
                    {
                        return wait; // Whoever does something between two reads reads for the handler when it is done.
                    }

                    break;
            }
        }
    }

    /// <summary>Reads for the handler what is there.</summary>
    public bool TryRead(out ReadResult result)
    {
        var seen = State;
        ReadState next;
        do
        {
            switch (ReadTransitions.BeginTryRead(seen, out next))
            {
                case ReadStep.Fail:
                    throw InputErrors.Create(seen.User, _closeRequested);
                case ReadStep.None:
                    result = default;
                    return false;
            }
        }
        while (!TryMove(ref seen, next));
        return TryReadForHandler(held: seen.User == InputUser.Holds, out result);
    }

    /// <summary>Gives a buffer of the handler's back.</summary>
    public void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        var seen = State;
        ReadState next;
        do
        {
            switch (ReadTransitions.BeginAdvance(seen, out next))
            {
                case ReadStep.Fail:
                    throw InputErrors.Create(seen.User, _closeRequested);
                case ReadStep.None:
                    return;
            }
        }
        while (!TryMove(ref seen, next));

        var given = false;
        try
        {
            // Before the call, by which the blocks go back to their pool.
            var consumedBytes = seen.User == InputUser.Holds ? BufferOffset.Get(_result.Buffer, consumed) : 0;
            var isAllExamined = seen.User == InputUser.Holds ? examined.Equals(_result.Buffer.End) : _isAllExamined;
            _inner.AdvanceTo(consumed, examined);
            given = true;
            _isAllExamined = isAllExamined;
            Volatile.Write(ref _consumedBytes, _consumedBytes + consumedBytes);
            Volatile.Write(ref _bufferedBytes, _bufferedBytes - consumedBytes);
            _result = default;
        }
        finally
        {
            ReadStep step;
            seen = State;
            do
            {
                step = ReadTransitions.EndAdvance(seen, given, out next);
            }
            while (!TryMove(ref seen, next));
            Carry(step, next);
        }
    }

    /// <summary>Cancels the handler's read.</summary>
    public void CancelPendingRead()
    {
        if (Move(ReadTransitions.Cancel, out _) == ReadStep.Cancel)
        {
            _inner.CancelPendingRead(); // After the exchange, because the read that it completes must find the flag.
        }
    }

    /// <summary>Has the transport's reader call the handler when its writer is completed.</summary>
    [Obsolete("As PipeReader's.")]
    public void OnWriterCompleted(Action<Exception?, object?> callback, object? state) =>
        _inner.OnWriterCompleted(callback, state);

    /// <summary>The handler completes its input.</summary>
    public void Complete() => EndServing(InputUser.Completed);

    // Compare-and-exchange. If another thread came first, the caller looks again at what it has seen now.
    private bool TryMove(ref ReadState seen, ReadState next)
    {
        if (next == seen)
        {
            return true;
        }

        Interleaving.Point();
        var found = new ReadState(Interlocked.CompareExchange(ref _word, next.Word, seen.Word));
        if (found == seen)
        {
            return true;
        }

        seen = found;
        return false;
    }
}
