using System.Buffers;
using System.IO.Pipelines;

namespace GracefulConnections.Tests.Support;

/// <summary>A transport's reader that always has the next byte at once, as where the peer sends faster than we read; until <see cref="Stop"/>.</summary>
internal sealed class FloodedReader : PipeReader
{
    private volatile bool _stopped;

    /// <summary>The peer sends FIN.</summary>
    public void Stop() => _stopped = true;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        TryRead(out var result);
        return new ValueTask<ReadResult>(result);
    }

    public override bool TryRead(out ReadResult result)
    {
        var stopped = _stopped;
        result = new ReadResult(new ReadOnlySequence<byte>(new byte[stopped ? 0 : 1]), isCanceled: false, stopped);
        return true;
    }

    public override void AdvanceTo(SequencePosition consumed)
    {
    }

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined)
    {
    }

    public override void CancelPendingRead()
    {
    }

    public override void Complete(Exception? exception = null)
    {
    }
}
