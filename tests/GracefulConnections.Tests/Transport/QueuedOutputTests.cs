using System.Buffers;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>The output of a connection that was made, where the test is the socket.</summary>
public class QueuedOutputTests
{
    private const int LargeBytes = 100_000;

    private readonly List<byte[]> _sends = [];
    private readonly QueuedOutput _sut;
    private int _ends;
    private int _mostInOneSend = int.MaxValue;

    public QueuedOutputTests() => _sut = new QueuedOutput(SendAsync, () => _ends++, MemoryPool<byte>.Shared);

    // A send for each of the pipe's blocks would be 25 system calls.
    [Fact]
    public async Task WriteAsync_ManyBlocks_AreOneSend()
    {
        var bytes = CreateBytes();

        await _sut.WriteAsync(bytes);

        Assert.Equal(bytes, Assert.Single(_sends));
        Assert.Equal(0, _sut.UnflushedBytes);
    }

    [Fact]
    public async Task WriteAsync_SocketTakesAPart_TheRestFollowsInOrder()
    {
        _mostInOneSend = 30_000;
        var bytes = CreateBytes();

        await _sut.WriteAsync(bytes);
        await _sut.CompleteAsync();

        Assert.Equal([30_000, 30_000, 30_000, 10_000], _sends.Select(static send => send.Length));
        Assert.Equal(bytes, _sends.SelectMany(static send => send));
        Assert.Equal((0, 1), (_sut.UnflushedBytes, _ends));
    }

    private static byte[] CreateBytes()
    {
        var bytes = new byte[LargeBytes];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    private ValueTask<long> SendAsync(ReadOnlySequence<byte> buffer)
    {
        var sent = buffer.Slice(0, Math.Min(buffer.Length, _mostInOneSend)).ToArray();
        _sends.Add(sent);
        return new ValueTask<long>(sent.Length);
    }
}
