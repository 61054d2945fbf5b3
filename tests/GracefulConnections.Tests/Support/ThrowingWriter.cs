using System.IO.Pipelines;

namespace GracefulConnections.Tests.Support;

/// <summary>A transport's writer that throws at one of its calls.</summary>
internal sealed class ThrowingWriter(PipeWriter inner, Thrower thrower) : PipeWriter
{
    public override void Advance(int bytes)
    {
        thrower.Call();
        inner.Advance(bytes);
    }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        thrower.Call();
        return inner.GetMemory(sizeHint);
    }

    public override Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default)
    {
        thrower.Call();
        return inner.FlushAsync(cancellationToken);
    }

    public override void CancelPendingFlush()
    {
        thrower.Call();
        inner.CancelPendingFlush();
    }

    public override void Complete(Exception? exception = null)
    {
        thrower.Call();
        inner.Complete(exception);
    }
}
