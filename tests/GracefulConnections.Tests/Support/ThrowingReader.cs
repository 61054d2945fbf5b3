using System.IO.Pipelines;

namespace GracefulConnections.Tests.Support;

/// <summary>A transport's reader that throws at one of its calls.</summary>
internal sealed class ThrowingReader(PipeReader inner, Thrower thrower) : PipeReader
{
    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        thrower.Call();
        return inner.ReadAsync(cancellationToken);
    }

    public override bool TryRead(out ReadResult result)
    {
        thrower.Call();
        return inner.TryRead(out result);
    }

    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
        thrower.Call();
        inner.AdvanceTo(consumed, examined);
    }

    public override void CancelPendingRead()
    {
        thrower.Call();
        inner.CancelPendingRead();
    }

    public override void Complete(Exception? exception = null)
    {
        thrower.Call();
        inner.Complete(exception);
    }
}
