using System.Collections.Concurrent;
using System.IO.Pipelines;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>The reader of a middleware that wants to know when the handler reads no more.</summary>
internal sealed class NotingReader(PipeReader inner, ConcurrentQueue<Exception?> completions) : PipeReader
{
    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
        inner.ReadAsync(cancellationToken);

    public override bool TryRead(out ReadResult result) => inner.TryRead(out result);

    public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) =>
        inner.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => inner.CancelPendingRead();

    public override void Complete(Exception? exception = null)
    {
        completions.Enqueue(exception);
        inner.Complete();
    }
}
