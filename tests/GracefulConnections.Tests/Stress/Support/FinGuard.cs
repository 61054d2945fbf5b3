using System.IO.Pipelines;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>The transport's own writer, which notices what is done to it after its completion: that would be bytes behind our FIN.</summary>
internal sealed class FinGuard(PipeWriter inner) : PipeWriter
{
    private volatile bool _completed;
    private volatile string? _violation;
    private volatile Pending<FlushResult>? _flush;

    /// <summary>Gets what was done after the completion, if anything was.</summary>
    public string? Violation => _violation;

    public bool IsCompleted => _completed;

    /// <summary>Gets whether the last flush waits for the peer to read.</summary>
    public bool IsBlocked => _flush is { IsCompleted: false };

    public override bool CanGetUnflushedBytes => inner.CanGetUnflushedBytes;

    public override long UnflushedBytes => inner.UnflushedBytes;

    public override void Advance(int bytes)
    {
        Note(nameof(Advance));
        inner.Advance(bytes);
    }

    public override Memory<byte> GetMemory(int sizeHint = 0)
    {
        Note(nameof(GetMemory));
        return inner.GetMemory(sizeHint);
    }

    public override Span<byte> GetSpan(int sizeHint = 0)
    {
        Note(nameof(GetSpan));
        return inner.GetSpan(sizeHint);
    }

    public override ValueTask<FlushResult> WriteAsync(ReadOnlyMemory<byte> source, CancellationToken cancellationToken = default)
    {
        Note(nameof(WriteAsync));
        return Remember(inner.WriteAsync(source, cancellationToken));
    }

    public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) =>
        Remember(inner.FlushAsync(cancellationToken));

    public override void CancelPendingFlush() => inner.CancelPendingFlush();

    public override void Complete(Exception? exception = null)
    {
        _completed = true;
        inner.Complete(exception);
    }

    private ValueTask<FlushResult> Remember(ValueTask<FlushResult> flush)
    {
        _flush = new Pending<FlushResult>(flush);
        return flush;
    }

    private void Note(string call)
    {
        if (_completed)
        {
            _violation ??= call;
        }
    }
}
