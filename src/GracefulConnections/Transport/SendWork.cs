using System.Buffers;
using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>What a <see cref="SendLoop"/> needs until everything was sent, and no longer.</summary>
internal sealed class SendWork(PipeReader reader)
{
    public FlushGuard? Guard;
    public LentSend? Lent;
    public Action? Resume;
    public ValueTask<long> Sending;
    public ReadOnlySequence<byte> Buffer;
    public long KeptBytes; // What was sent and stays in the pipe, because the memory is kept.

    public PipeReader Reader => reader;
}
