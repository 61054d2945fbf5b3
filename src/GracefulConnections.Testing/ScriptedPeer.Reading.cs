using System.Net.Sockets;

namespace GracefulConnections.Testing;

/// <content>What the peer reads, and how it learns of the end.</content>
public sealed partial class ScriptedPeer
{
    /// <summary>Gets what <see cref="StartReading"/> has kept.</summary>
    public byte[] Received
    {
        get
        {
            lock (_kept)
            {
                return _kept.ToArray();
            }
        }
    }

    /// <summary>
    /// Reads in the background until the connection ends or <see cref="StopReadingAsync"/> is called.
    /// <see cref="Report"/> tells how much, and how it ended: whatever the network does is an end by reset.
    /// </summary>
    /// <param name="keeps">Whether <see cref="Received"/> keeps the bytes.</param>
    /// <param name="from">
    /// A stream on top of the socket to read from, TLS for example; <see langword="null"/> for the socket itself.
    /// </param>
    public void StartReading(bool keeps = false, Stream? from = null)
    {
        _readingStopped.Dispose();
        _readingStopped = new CancellationTokenSource();
        var stopped = _readingStopped.Token;
        _reading = Task.Run(ReadAsync);

        async Task ReadAsync()
        {
            var buffer = new byte[ReadChunkBytes];
            try
            {
                while (await ReceiveAsync(from, buffer, keeps, stopped) > 0)
                {
                }
            }
            catch (Exception exception) when (exception is SocketException or IOException)
            {
                _log.OnEnded(PeerSaw.Reset);
            }
            catch (Exception exception) when (exception is OperationCanceledException or ObjectDisposedException)
            {
                // The peer has to stop reading.
            }
        }
    }

    /// <summary>Waits until the reading in the background, or whoever reads, has come to the end.</summary>
    /// <returns>How the connection ended.</returns>
    public async Task<PeerSaw> EndedAsync()
    {
        await Waiting.UntilAsync(() => Report.End is not null, "the connection ended");
        return Report.End!.Value;
    }

    /// <summary>Waits until so many bytes were received, or the reading in the background ended.</summary>
    /// <param name="bytes">How many bytes since the connect.</param>
    public Task ReadingPassesOrEndsAsync(long bytes) => Waiting.UntilAsync(
        () => ReceivedBytes >= bytes || _reading.IsCompleted, $"{bytes} bytes were received, or the connection ended");

    /// <summary>
    /// Stops reading, so that the window closes once the buffers are full. Every method can read on later.
    /// </summary>
    public async Task StopReadingAsync()
    {
        await _readingStopped.CancelAsync();
        await _reading.WithinLimit();
    }

    /// <summary>Receives once.</summary>
    /// <param name="buffer">Where to put it.</param>
    /// <returns>The number of bytes received; 0 at the server's FIN.</returns>
    /// <exception cref="SocketException">The server's RST came.</exception>
    /// <exception cref="InvalidOperationException">They hold poison of a <see cref="PoisoningMemoryPool"/>.</exception>
    public async Task<int> ReceiveAsync(Memory<byte> buffer)
    {
        using var limit = new CancellationTokenSource(Waiting.Longest);
        return await ReceiveAsync(null, buffer, keeps: false, limit.Token);
    }

    /// <summary>Receives so many bytes and no more.</summary>
    /// <param name="count">How many.</param>
    /// <returns>The bytes.</returns>
    /// <exception cref="SocketException">The server's RST came first.</exception>
    /// <exception cref="EndOfStreamException">The server's FIN came first.</exception>
    public async Task<byte[]> ReadExactlyAsync(int count)
    {
        var bytes = new byte[count];
        for (var received = 0; received < count;)
        {
            var more = await ReceiveAsync(bytes.AsMemory(received));
            if (more == 0)
            {
                throw new EndOfStreamException($"The server's FIN came after {received} of {count} bytes.");
            }

            received += more;
        }

        return bytes;
    }

    /// <summary>Receives until the server's FIN or RST.</summary>
    /// <returns>The number of bytes that this call received, and how the connection ended.</returns>
    public Task<(long Bytes, PeerSaw End)> ReadToEndAsync() => ReadAllAsync(Stream.Null);

    /// <summary>Receives until the server's FIN or RST, and keeps what came.</summary>
    /// <param name="received">Where to put it.</param>
    /// <returns>The number of bytes that this call received, and how the connection ended.</returns>
    public async Task<(long Bytes, PeerSaw End)> ReadAllAsync(Stream received)
    {
        var buffer = new byte[ReadChunkBytes];
        long bytes = 0;
        while (true)
        {
            int count;
            try
            {
                count = await ReceiveAsync(buffer);
            }
            catch (SocketException exception) when (IsReset(exception))
            {
                return (bytes, PeerSaw.Reset);
            }

            if (count == 0)
            {
                return (bytes, PeerSaw.Eof);
            }

            received.Write(buffer.AsSpan(0, count));
            bytes += count;
        }
    }

    /// <summary>
    /// Waits for the server's FIN or RST without reading anything. A FIN arrives only behind all data, so this never
    /// ends by one while the window is closed. Only on Linux.
    /// </summary>
    /// <returns>Which of the two it was.</returns>
    public async Task<PeerSaw> WaitForEndAsync()
    {
        PeerSaw? end = null;
        await Waiting.UntilAsync(
            () => (end = SocketEnd.Look(Socket)) is not null, "the server's FIN or RST came");
        _log.OnEnded(end!.Value);
        return end.Value;
    }

    private async Task<int> ReceiveAsync(
        Stream? from, Memory<byte> buffer, bool keeps, CancellationToken stopped)
    {
        int count;
        try
        {
            count = await (from?.ReadAsync(buffer, stopped) ?? Socket.ReceiveAsync(buffer, SocketFlags.None, stopped));
        }
        catch (SocketException exception) when (IsReset(exception))
        {
            _log.OnEnded(PeerSaw.Reset);
            throw;
        }

        PoisoningMemoryPool.ThrowIfPoisoned(buffer.Span[..count]);
        if (count > 0)
        {
            Keep(buffer.Span[..(keeps ? count : 0)]); // First: whoever waits for the count takes the bytes.
            _log.OnReceived(count);
        }
        else if (!buffer.IsEmpty)
        {
            _log.OnEnded(PeerSaw.Eof);
        }

        return count;
    }

    private void Keep(ReadOnlySpan<byte> bytes)
    {
        lock (_kept)
        {
            _kept.Write(bytes);
        }
    }
}
