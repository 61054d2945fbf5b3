using System.Buffers;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Transport;

/// <summary>
/// One send that gathers all segments of a buffer into one call. Rented while a send runs; an idle connection holds none.
/// </summary>
internal sealed class SendOperation() : SocketAsyncEventArgs(unsafeSuppressExecutionContextFlow: true)
{
    // 1 MiB of Kestrel's 4 KiB blocks a call: far below IOV_MAX (1024), and progress stays visible.
    private const int MaxSegments = 256;

    private List<ArraySegment<byte>>? _segments;
    private SocketOutput? _output;
    private ReadOnlySequence<byte> _buffer;

    /// <summary>Gets how far into its buffer an ended send got.</summary>
    public SequencePosition Position => _buffer.GetPosition(BytesTransferred);

    /// <summary>Starts to send from the front of <paramref name="buffer"/>.</summary>
    /// <returns>
    /// <see langword="true"/> when the end will be told to <see cref="SocketOutput.OnSendCompleted"/>;
    /// <see langword="false"/> when the send has ended.
    /// </returns>
    public bool Start(SocketOutput output, Socket socket, in ReadOnlySequence<byte> buffer)
    {
        _output = output;
        _buffer = buffer;
        if (buffer.IsSingleSegment || !TryGather(buffer))
        {
            SetBuffer(MemoryMarshal.AsMemory(buffer.First));
        }

        return socket.SendAsync(this);
    }

    public void Reset()
    {
        _output = null;
        _buffer = default;
        if (BufferList is not null)
        {
            BufferList = null;
            _segments!.Clear();
        }
        else
        {
            SetBuffer(default);
        }
    }

    protected override void OnCompleted(SocketAsyncEventArgs e) => _output!.OnSendCompleted(this);

    // Only memory that is backed by arrays can be gathered. A pool may hand out other memory: it goes by itself.
    private bool TryGather(in ReadOnlySequence<byte> buffer)
    {
        _segments ??= [];
        foreach (var memory in buffer)
        {
            if (_segments.Count == MaxSegments || !MemoryMarshal.TryGetArray(memory, out var segment))
            {
                break;
            }

            _segments.Add(segment);
        }

        if (_segments.Count == 0)
        {
            return false;
        }

        BufferList = _segments;
        return true;
    }
}
