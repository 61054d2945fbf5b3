using System.Globalization;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>
/// A client that sends GET and SET in batches until the server ends the connection, and compares every byte that it receives with the replies it is owed.
/// </summary>
internal sealed class RespLoadClient(ScriptedPeer peer, int seed, int maxUnanswered) : IAsyncDisposable
{
    private const int BatchCount = 16;
    private static readonly int[] ValueBytes = [0, 1, 10, 100, 1000, 4096, 16_384, 65_536];
    private static readonly byte[][] Values = [.. ValueBytes.Select((count, i) => Encoding.ASCII.GetBytes(new string((char)('a' + i), count)))];
    private static readonly byte[] SetReply = "+OK\r\n"u8.ToArray();
    private static readonly byte[][] GetReplies = [.. Values.Select(Bulk)];
    private static readonly byte[][] SetRequests = [.. Values.Select((value, i) => Encoding.ASCII.GetBytes($"*3\r\n$3\r\nSET\r\n$1\r\n{i}\r\n").Concat(Bulk(value)).ToArray())];
    private static readonly byte[][] GetRequests = [.. Values.Select((_, i) => Encoding.ASCII.GetBytes($"*2\r\n$3\r\nGET\r\n$1\r\n{i}\r\n"))];

    private readonly CancellationTokenSource _ended = new();
    private readonly SemaphoreSlim _mayAsk = new(maxUnanswered);
    private long _replyCount;
    private int _partBytes;

    /// <summary>Gets the number of whole replies so far.</summary>
    public long ReplyCount => Volatile.Read(ref _replyCount);

    /// <summary>Gets the bytes received of a reply that is not whole.</summary>
    public int PartBytes => _partBytes;

    /// <summary>Sets the values that all clients get, and set again.</summary>
    public static async Task PrepareAsync(RespServer server) =>
        Assert.Equal(string.Concat(Enumerable.Repeat("+OK\r\n", Values.Length)), await server.ExchangeAsync(SetRequests.SelectMany(request => request).ToArray()));

    /// <summary>Sends and receives until the connection ends.</summary>
    /// <returns>How it ended.</returns>
    public async Task<PeerSaw> RunAsync()
    {
        var sending = Task.Run(SendAsync);
        try
        {
            return await Task.Run(ReceiveAsync);
        }
        finally
        {
            await _ended.CancelAsync();
            await sending;
            EndOutput();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await peer.DisposeAsync();
        _ended.Dispose();
        _mayAsk.Dispose();
    }

    private static byte[] Bulk(byte[] value) => [.. Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"${value.Length}\r\n")), .. value, .. "\r\n"u8];

    // Any order will do that does not repeat soon and that sender and receiver agree on.
    private (bool IsSet, int Value) Choose(long index)
    {
        var mixed = unchecked((uint)((index + seed) * 2_654_435_761)) >> 16;
        return (mixed % 3 == 0, (int)(mixed / 3 % Values.Length));
    }

    // The server waits for our FIN, unless it has reset the connection: then there is nothing to end.
    private void EndOutput()
    {
        try
        {
            peer.HalfClose();
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.NotConnected)
        {
            // The test fails for this, and with what the receiver saw.
        }
    }

    private async Task SendAsync()
    {
        try
        {
            for (var index = 0L; ; index += BatchCount)
            {
                var batch = new List<byte>();
                for (var i = 0; i < BatchCount; i++)
                {
                    await _mayAsk.WaitAsync(_ended.Token);
                    var (isSet, value) = Choose(index + i);
                    batch.AddRange((isSet ? SetRequests : GetRequests)[value]);
                }

                for (ReadOnlyMemory<byte> rest = batch.ToArray(); !rest.IsEmpty;)
                {
                    rest = rest[await peer.Socket.SendAsync(rest, SocketFlags.None, _ended.Token)..];
                }
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException)
        {
            // The server has ended the connection. How, only the receiver can tell.
        }
    }

    private async Task<PeerSaw> ReceiveAsync()
    {
        var buffer = new byte[64 * 1024];
        while (true)
        {
            int count;
            try
            {
                count = await peer.ReceiveAsync(buffer);
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
            {
                return PeerSaw.Reset;
            }

            if (count == 0)
            {
                return PeerSaw.Eof;
            }

            Check(buffer.AsSpan(0, count));
        }
    }

    private void Check(ReadOnlySpan<byte> received)
    {
        while (!received.IsEmpty)
        {
            var (isSet, value) = Choose(_replyCount);
            var rest = (isSet ? SetReply : GetReplies[value]).AsSpan(_partBytes);
            var count = Math.Min(rest.Length, received.Length);
            Assert.True(received[..count].SequenceEqual(rest[..count]), $"Reply {_replyCount} is another one.");
            received = received[count..];
            _partBytes += count;
            if (count == rest.Length)
            {
                _partBytes = 0;
                Volatile.Write(ref _replyCount, _replyCount + 1);
                _mayAsk.Release();
            }
        }
    }
}
