using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <content>What a handler gets that uses the output behind its end.</content>
internal abstract partial class TransportOutput
{
    private const string WrittenBehindReturn =
        "The connection has ended: its handler returned, and what is written now can no longer be sent. "
        + "Do not write behind the handler's return.";

    private const string WrittenBehindCompletion =
        "The output was completed, and FIN follows what was written before. "
        + "Write everything before Output.Complete().";

    // Stands in for the writer of an output that has ended, and fails as any completed one. A connection may linger for
    // long, and its own writer would be most of what it costs.
    private static readonly PipeWriter EndedWriter = CreateEndedWriter();

    private bool HasEnded => _sealed || _completed;

    /// <summary>Lets go of the writer once nobody may write.</summary>
    protected void ReleaseWriter() => Writer = EndedWriter;

    private static PipeWriter CreateEndedWriter()
    {
        var pipe = new Pipe();
        pipe.Writer.Complete();
        pipe.Reader.Complete();
        return pipe.Writer;
    }

    // Nothing is left to flush, and the writer is busy with the end of the output. Behind the handler's return too this
    // is no error: a timer may flush, on a thread where nobody catches anything.
    private ValueTask<FlushResult> FlushEnded(CancellationToken cancellationToken) =>
        cancellationToken.IsCancellationRequested
            ? ValueTask.FromCanceled<FlushResult>(cancellationToken)
            : new ValueTask<FlushResult>(new FlushResult(isCanceled: false, isCompleted: _sealed || IsOver));

    private void ThrowIfEnded()
    {
        if (_sealed)
        {
            throw new ObjectDisposedException(nameof(PipeWriter), WrittenBehindReturn);
        }

        if (_completed)
        {
            throw new InvalidOperationException(WrittenBehindCompletion);
        }
    }
}
