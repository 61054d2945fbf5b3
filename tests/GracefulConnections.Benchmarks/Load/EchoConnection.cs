using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>One connection with at most one message under way.</summary>
internal sealed class EchoConnection : IDisposable
{
    private readonly byte[] _message;
    private readonly byte[] _received;
    private int _sentBytes;
    private int _receivedBytes;
    private bool _verified;

    public EchoConnection(IPEndPoint endPoint, byte[] message)
    {
        _message = message;
        _received = new byte[message.Length];
        Socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        Socket.Connect(endPoint);
        Socket.Blocking = false;
    }

    public Socket Socket { get; }

    public long StartedAt { get; private set; }

    public bool IsUnderWay { get; private set; }

    public bool HasToSend => IsUnderWay && _sentBytes < _message.Length;

    public void Start()
    {
        IsUnderWay = true;
        _sentBytes = 0;
        _receivedBytes = 0;
        StartedAt = Stopwatch.GetTimestamp();
        Send();
    }

    public void Send()
    {
        _sentBytes += Socket.Send(_message.AsSpan(_sentBytes), SocketFlags.None, out var error);
        ThrowUnlessWouldBlock(error);
    }

    /// <returns><see langword="true"/> when the whole message came back.</returns>
    public bool TryReceive()
    {
        var received = Socket.Receive(_received.AsSpan(_receivedBytes), SocketFlags.None, out var error);
        ThrowUnlessWouldBlock(error);
        if (received == 0 && error == SocketError.Success)
        {
            throw new EndOfStreamException("The server closed.");
        }

        _receivedBytes += received;
        if (_receivedBytes < _message.Length)
        {
            return false;
        }

        if (!_verified)
        {
            _verified = true; // Once: the servers are tested elsewhere, and comparing every message would load the generator.
            if (!_received.AsSpan().SequenceEqual(_message))
            {
                throw new InvalidDataException("The echo differs from the message.");
            }
        }

        IsUnderWay = false;
        return true;
    }

    public void Dispose() => Socket.Dispose();

    private static void ThrowUnlessWouldBlock(SocketError error)
    {
        if (error is not (SocketError.Success or SocketError.WouldBlock))
        {
            throw new SocketException((int)error);
        }
    }
}
