using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>The peer of a play. A send that fails is a fact of the play and not of the test.</summary>
internal sealed class HabitPeer(ScriptedPeer peer) : IAsyncDisposable
{
    public Socket Socket => peer.Socket;

    /// <summary>Gets how the input ended; <see langword="null"/> before it did.</summary>
    public PeerSaw? End => peer.Report.End;

    /// <summary>Gets whether everything could be sent so far.</summary>
    public bool SentAll { get; private set; } = true;

    public byte[] Received => peer.Received;

    public long ReceivedBytes => peer.ReceivedBytes;

    /// <summary>Gets or sets TLS, where there is one.</summary>
    public HeldTls? Tls { get; set; }

    /// <summary>Connects a peer.</summary>
    /// <param name="endPoint">Where to.</param>
    /// <param name="configure">Changes the socket before it connects.</param>
    /// <param name="wire">What the connection is made of.</param>
    public static async Task<HabitPeer> ConnectAsync(
        EndPoint endPoint, Action<Socket>? configure = null, HabitWire wire = HabitWire.IPv4)
    {
        var socket = wire == HabitWire.Mptcp
            ? MptcpSocket.Create()
            : new Socket(
                endPoint.AddressFamily,
                SocketType.Stream,
                wire == HabitWire.Unix ? ProtocolType.Unspecified : ProtocolType.Tcp);
        if (wire != HabitWire.Unix)
        {
            socket.NoDelay = true;
        }

        configure?.Invoke(socket);
        await socket.ConnectAsync(endPoint).InTimeAsync();
        return new HabitPeer(new ScriptedPeer(socket));
    }

    /// <summary>Begins to read, and goes on until the input ends.</summary>
    /// <param name="from">A stream on top of the socket; <see langword="null"/> for the socket itself.</param>
    public void StartReading(Stream? from = null) => peer.StartReading(keeps: true, from);

    public Task<bool> SendAsync(string text) => SendAsync(Encoding.ASCII.GetBytes(text));

    /// <summary>Sends all of it.</summary>
    /// <returns>Whether it could.</returns>
    public async Task<bool> SendAsync(ReadOnlyMemory<byte> bytes)
    {
        try
        {
            await peer.SendAsync(bytes);
            return true;
        }
        catch (SocketException)
        {
            SentAll = false;
            return false;
        }
    }

    /// <summary>Sends FIN and goes on reading.</summary>
    public void HalfClose()
    {
        try
        {
            peer.HalfClose();
        }
        catch (SocketException)
        {
            SentAll = false; // The connection was reset before.
        }
    }

    /// <summary>Waits until so many bytes were received, or the input has ended.</summary>
    public Task ReceivedAsync(long count) => Eventually.IsTrueAsync(() => ReceivedBytes >= count || End is not null);

    /// <summary>Waits until the input has ended.</summary>
    public Task EndedAsync() => peer.EndedAsync();

    /// <summary>As <see cref="AbortedPeer.AbortArrivesAsync"/>, before <see cref="StartReading"/>.</summary>
    public Task ResetArrivesAsync() => Eventually.IsTrueAsync(() => Socket.Poll(0, SelectMode.SelectError));

    public async ValueTask DisposeAsync()
    {
        await peer.DisposeAsync();
        if (Tls is not null)
        {
            await Tls.DisposeAsync();
        }
    }
}
