using System.IO.Pipelines;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>A transport's reader that notes whether two threads are inside of it, and whether a read is pending.</summary>
internal sealed class GuardedReader(PipeReader inner) : PipeReader
{
    private int _callers;
    private int _pending;

    /// <summary>Gets what went wrong, if anything.</summary>
    public string? Broken { get; private set; }

    /// <summary>Notes an error if a read is under way.</summary>
    public void MustNotRead()
    {
        if (Volatile.Read(ref _pending) != 0)
        {
            Broken = "A read was under way in a pause.";
        }
    }

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        Enter();
        if (Interlocked.Exchange(ref _pending, 1) != 0)
        {
            Broken = "Two reads were pending.";
        }

        var hasBegun = false;
        try
        {
            var read = inner.ReadAsync(cancellationToken);
            hasBegun = true;
            return AwaitAsync(read);
        }
        finally
        {
            if (!hasBegun)
            {
                Volatile.Write(ref _pending, 0); // A token that is cancelled just now makes a pipe's read throw.
            }

            Interlocked.Decrement(ref _callers);
        }
    }

    public override bool TryRead(out ReadResult result)
    {
        Enter();
        var isRead = inner.TryRead(out result);
        Interlocked.Decrement(ref _callers);
        return isRead;
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        Enter();
        inner.AdvanceTo(consumed, examined);
        Interlocked.Decrement(ref _callers);
    }

    public override void CancelPendingRead() => inner.CancelPendingRead();

    public override void Complete(Exception? exception = null) => inner.Complete(exception);

    private async ValueTask<ReadResult> AwaitAsync(ValueTask<ReadResult> read)
    {
        try
        {
            return await read.ConfigureAwait(false);
        }
        finally
        {
            Volatile.Write(ref _pending, 0);
        }
    }

    private void Enter()
    {
        if (Interlocked.Increment(ref _callers) != 1 || (Volatile.Read(ref _pending) != 0))
        {
            Broken = "Two threads were inside of the reader.";
        }
    }
}
