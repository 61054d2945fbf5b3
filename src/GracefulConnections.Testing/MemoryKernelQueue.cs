using System.Buffers;
using GracefulConnections.Transport;

namespace GracefulConnections.Testing;

/// <summary>What the library asks a kernel and sends to it, for a connection in memory.</summary>
internal sealed class MemoryKernelQueue : KernelQueue
{
    private readonly MemoryKernel _kernel;

    public MemoryKernelQueue(MemoryKernel kernel)
    {
        _kernel = kernel;
        SeesAcknowledgements = true;
    }

    public override bool IsClosed => _kernel.SendLength < 0;

    protected override bool SeesTcpInfo => true;

    protected override bool IsConnected => !_kernel.IsReset;

    public override ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) => _kernel.SendAsync(buffer);

    public override ValueTask EndAsync(long writtenBytes, long sentBytes)
    {
        _kernel.SendFin();
        return default;
    }

    public override bool TryGetSendLength(out int length)
    {
        length = _kernel.SendLength;
        return length >= 0;
    }

    public override int GetUnreadLength() => 0; // The transport reads at once.

    public override bool TryGetTcpInfo(out TcpInfo info) => _kernel.TryGetTcpInfo(out info);

    public override void ResetOnClose() => _kernel.ResetOnClose();

    protected override bool HasError() => false; // The transport's reader was told of every reset.
}
