using System.Buffers;

namespace GracefulConnections.Transport;

/// <summary>
/// What a <see cref="SendLoop"/> needs to wait: for the kernel, for the handler's flush, or with a lent send. Many
/// connections never wait, because the kernel takes their messages at once.
/// </summary>
internal sealed class SendWork
{
    public FlushGuard? Guard;
    public LentSend? Lent;
    public Action? Resume;
    public ValueTask<long> Sending;
    public ReadOnlySequence<byte> Buffer;
    public long KeptBytes; // What was sent and stays in the pipe, because the memory is kept.
}
