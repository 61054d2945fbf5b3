using System.Net;
using System.Net.Sockets;
using GracefulConnections.Testing;
using GracefulConnections.Transport;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Plays the peer of one connection, and keeps its books.</summary>
internal sealed class PeerSide(HostilePlay play, Socket socket) : IDisposable
{
    private const int SmallWindowBytes = 4096;
    private const int TrickleBytes = 16;
    private const int MostTrickles = 20;
    private const int UploadBytes = 2048;
    private const int MostUploads = 200; // Longer than any limit of the server's, and not for ever: some handlers wait.
    private const int ReadBytes = 64 * 1024;

    // The peer waits so between two of many sends: a flood would only measure the loopback.
    private static readonly TimeSpan Beat = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan ResetLimit = TimeSpan.FromSeconds(5);

    [ThreadStatic]
    private static byte[]? _spare;

    private readonly byte[] _buffer = Interlocked.Exchange(ref _spare, null) ?? new byte[ReadBytes];
    private bool _isResetBySend;

    /// <summary>Makes a peer that is not connected, on the address of its play.</summary>
    public static PeerSide Bind(HostilePlay play)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        if (play.Script.HasSmallBuffers)
        {
            socket.ReceiveBufferSize = SmallWindowBytes;
        }

        socket.Bind(new IPEndPoint(play.Address, 0));
        return new PeerSide(play, socket);
    }

    /// <summary>
    /// Connects. The server may reset the connection before the peer knows that it is connected: then it has no socket
    /// to read from.
    /// </summary>
    public async Task ConnectAsync(IPEndPoint server)
    {
        try
        {
            await socket.ConnectAsync(server);
        }
        catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
        {
            play.HasLeft = true;
        }
    }

    /// <summary>Plays until the connection's end, or until the peer has left it.</summary>
    public async Task RunAsync(Task closed)
    {
        if (play.HasLeft)
        {
            return;
        }

        var request = play.Script.RequestBytes;
        switch (play.Script.Peer)
        {
            case HostilePeer.ClosesAtOnce:
                Leave(isReset: false);
                return;
            case HostilePeer.Vanishes:
                await SendAsync(request);
                await Task.Delay(play.Script.Pause);
                Leave(isReset: false);
                return;
            case HostilePeer.Resets:
                await SendAsync(request);
                await ReceiveAsync(ReadBytes);
                Leave(isReset: true);
                return;
            case HostilePeer.HalfClosesFirst:
                await SendAsync(request);
                HalfClose();
                await ReadToEndAsync();
                break;
            case HostilePeer.Stalls:
                await SendAsync(request);
                await Task.Delay(play.Script.Pause);
                await ReadToEndAsync();
                break;
            case HostilePeer.Uploads:
                await Task.WhenAll(UploadAsync(), ReadToEndAsync());
                break;
            case HostilePeer.Urgent:
                await SendAsync(request);
                if (play.Script.IsOtherWay)
                {
                    await ReadToEndAsync();
                }

                await SendUrgentAsync(); // Only one: a second makes the first an ordinary byte.
                await SendAsync(request);
                await ReadToEndAsync();
                break;
            case HostilePeer.Trickles:
                await Task.WhenAll(TrickleAsync(), ReadSlowlyAsync());
                break;
            default:
                await SendAsync(request);
                await ReadToEndAsync();
                break;
        }

        if (!play.Script.KeepsOpen)
        {
            HalfClose();
        }

        await closed;
    }

    /// <summary>Looks whether the connection that ended by FIN was reset behind it.</summary>
    public async Task LookForResetAsync()
    {
        var began = TimeProvider.System.GetTimestamp();
        using var beat = new PeriodicTimer(Beat);
        while (!_isResetBySend && TimeProvider.System.GetElapsedTime(began) < ResetLimit)
        {
            await SendAsync(1);
            await beat.WaitForNextTickAsync();
        }

        play.IsResetBehindFin = _isResetBySend;
    }

    public void Dispose()
    {
        socket.Dispose();
        _spare = _buffer;
    }

    private void Leave(bool isReset)
    {
        play.HasLeft = true;
        if (isReset)
        {
            socket.Close(0);
        }
        else
        {
            socket.Close();
        }
    }

    private void HalfClose()
    {
        if (play.HasHalfClosed || play.Saw == PeerSaw.Reset)
        {
            return;
        }

        try
        {
            socket.Shutdown(SocketShutdown.Send);
            play.HasHalfClosed = true;
        }
        catch (SocketException)
        {
            _isResetBySend = true;
        }
    }

    private async Task UploadAsync()
    {
        using var beat = new PeriodicTimer(Beat);
        for (var i = 0; i < MostUploads && play.Saw is null && await SendAsync(UploadBytes); i++)
        {
            await beat.WaitForNextTickAsync();
        }
    }

    private async Task TrickleAsync()
    {
        using var beat = new PeriodicTimer(Beat);
        for (var i = 0; i < MostTrickles && play.Saw is null && await SendAsync(TrickleBytes); i++)
        {
            await beat.WaitForNextTickAsync();
        }
    }

    private async Task ReadSlowlyAsync()
    {
        using var beat = new PeriodicTimer(Beat);
        for (var i = 0; i < MostTrickles && await ReceiveAsync(TrickleBytes); i++)
        {
            await beat.WaitForNextTickAsync();
        }

        await ReadToEndAsync();
    }

    private async Task ReadToEndAsync()
    {
        while (await ReceiveAsync(ReadBytes))
        {
        }
    }

    /// <returns>Whether there may be more.</returns>
    private async Task<bool> ReceiveAsync(int count)
    {
        if (play.Saw is not null)
        {
            return false;
        }

        int received;
        try
        {
            received = await socket.ReceiveAsync(_buffer.AsMemory(0, count));
        }
        catch (SocketException)
        {
            play.Saw = PeerSaw.Reset;
            return false;
        }

        if (received == 0)
        {
            // The kernel tells of a reset once: where a send was told, the last read looks like the end of the stream.
            var isFin = TcpInfo.TryRead(socket, out var info) && info.ReceivedBytes == play.ReceivedBytes + 1;
            play.Saw = isFin ? PeerSaw.Eof : PeerSaw.Reset;
            return false;
        }

        Check(_buffer.AsSpan(0, received));
        play.ReceivedBytes += received;
        return true;
    }

    private void Check(ReadOnlySpan<byte> bytes)
    {
        if (!Payload.IsAt(play.ReceivedBytes, bytes))
        {
            play.IsPoisoned |= Payload.IsPoisoned(bytes);
            play.Fail($"The peer received other bytes than were written, somewhere after {play.ReceivedBytes}");
        }
    }

    /// <returns>Whether it could.</returns>
    private async Task<bool> SendAsync(int count)
    {
        try
        {
            while (count > 0)
            {
                var sent = await socket.SendAsync(Payload.At(play.SentBytes, count));
                play.SentBytes += sent;
                count -= sent;
            }

            return true;
        }
        catch (SocketException)
        {
            _isResetBySend = true;
            return false;
        }
    }

    private async Task SendUrgentAsync()
    {
        try
        {
            await socket.SendAsync(new byte[] { Payload.Junk }, SocketFlags.OutOfBand);
        }
        catch (SocketException)
        {
            _isResetBySend = true;
        }
    }
}
