using System.Buffers;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Transport;

/// <summary>The questions to the kernel about a socket, and the sends on it.</summary>
internal sealed partial class SocketQueue : KernelQueue
{
    private const nuint Siocoutq = 0x5411; // asm-generic/ioctls.h, TIOCOUTQ.
    private const short PollError = 8; // POLLERR in asm-generic/poll.h. It is always told.
    private const int SolSocket = 1;
    private const int SoProtocol = 38;
    private const int MptcpProtocol = 262; // IPPROTO_MPTCP in linux/in.h.

    // Set once the process has no such function to call. Asking again would throw at every look.
    private static volatile bool _isMissing;

    // Whether a socket was found that has Nagle's algorithm. Hardly a process has one, so that most need not ask.
    private static volatile bool _isNagleUsed;

    private readonly Socket _socket;
    private readonly bool _trustsTcpInfo;
    private sbyte _hasNagle; // 1 for yes, -1 for no, 0 for not asked.
    private int _isPlainTcp; // 1 for yes, -1 for no, 0 for not asked: most connections never need to know.

    /// <param name="socket">The connection's socket.</param>
    /// <param name="platform">What the kernel can be trusted with; <see langword="null"/> to find out.</param>
    public SocketQueue(Socket socket, PlatformProbe? platform = null)
    {
        _socket = socket;
        IsUnix = socket.AddressFamily == AddressFamily.Unix;
        if (IsUnix)
        {
            SeesAcknowledgements = true;
        }
        else if (socket.SocketType == SocketType.Stream
            && socket.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6)
        {
            platform ??= PlatformProbe.Current;
            SeesAcknowledgements = platform.TrustsSendQueue;
            _trustsTcpInfo = platform.TrustsTcpInfo;
        }
    }

    public override bool IsLookCostly => SeesAcknowledgements;

    public override bool IsClosed => _socket.SafeHandle.IsClosed;

    // On MPTCP, TCP_INFO describes one subflow of several.
    protected override bool SeesTcpInfo
    {
        get
        {
            if (_trustsTcpInfo && _isPlainTcp == 0)
            {
                _isPlainTcp = IsMptcp() ? -1 : 1;
            }

            return _isPlainTcp > 0;
        }
    }

    protected override bool IsConnected => _socket.Connected;

    /// <summary>Asks for the length of a send queue, whether it can be trusted or not.</summary>
    /// <returns>The length, or -1 where the system does not tell.</returns>
    /// <exception cref="ObjectDisposedException">The socket was disposed.</exception>
    public static int GetSendLength(Socket socket)
    {
        if (_isMissing)
        {
            return -1;
        }

        try
        {
            return Ioctl(socket.SafeHandle, Siocoutq, out var length) == 0 ? length : -1;
        }
        catch (Exception exception) when (exception is DllNotFoundException or EntryPointNotFoundException)
        {
            _isMissing = true;
            return -1;
        }
    }

    // A connection that sends once, and ends, does not ask.
    public override bool HoldsSmallSends(bool hasSent)
    {
        if (_hasNagle == 0 && (hasSent || _isNagleUsed))
        {
            var hasNagle = HasNagle();
            _hasNagle = hasNagle ? (sbyte)1 : (sbyte)-1;
            _isNagleUsed |= hasNagle;
        }

        return _hasNagle > 0;
    }

    public override ValueTask<long> SendAsync(in ReadOnlySequence<byte> buffer) =>
        SendOperation.Rent().SendAsync(_socket, buffer);

    public override ValueTask EndAsync(long writtenBytes, long sentBytes)
    {
        // The managed Shutdown, not shutdown(2): the runtime remembers it, and without it Dispose turns a pending
        // receive into RST.
        _socket.Shutdown(SocketShutdown.Send);
        return default;
    }

    public override bool TryGetSendLength(out int length)
    {
        length = -1;
        try
        {
            if (!SeesAcknowledgements)
            {
                return !_socket.SafeHandle.IsClosed;
            }

            length = GetSendLength(_socket);
            return true;
        }
        catch (ObjectDisposedException)
        {
            return false;
        }
    }

    public override int GetUnreadLength()
    {
        try
        {
            return _socket.Available;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return 0;
        }
    }

    public override bool TryGetTcpInfo(out TcpInfo info)
    {
        info = default;
        return SeesTcpInfo && TcpInfo.TryRead(_socket, out info);
    }

    public override void ResetOnClose()
    {
        try
        {
            // Zero only: a positive time would block the thread that disposes the socket.
            _socket.LingerState = new LingerOption(true, 0);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Gone already: there is nothing left to reset.
        }
    }

    // Not Socket.Poll, which asks for urgent bytes too. Not SO_ERROR, which takes the error from the next one.
    protected override bool HasError()
    {
        var isHeld = false;
        try
        {
            _socket.SafeHandle.DangerousAddRef(ref isHeld);
            var question = new PollDescriptor { Descriptor = (int)_socket.SafeHandle.DangerousGetHandle() };
            return Poll(ref question, 1, 0) > 0 && (question.Found & PollError) != 0;
        }
        catch (ObjectDisposedException)
        {
            return false; // Closed at this very moment, which is noticed elsewhere.
        }
        finally
        {
            if (isHeld)
            {
                _socket.SafeHandle.DangerousRelease();
            }
        }
    }

    private bool HasNagle()
    {
        try
        {
            return !IsUnix && !_socket.NoDelay;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return false;
        }
    }

    // Kestrel's own listeners make plain TCP, so that the kernel need not be asked for each connection.
    private bool IsMptcp()
    {
        if (_socket.ProtocolType == ProtocolType.Tcp)
        {
            return false;
        }

        Span<byte> protocol = stackalloc byte[sizeof(int)];
        try
        {
            return _socket.GetRawSocketOption(SolSocket, SoProtocol, protocol) == sizeof(int)
                && BitConverter.ToInt32(protocol) == MptcpProtocol;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            return false; // Such a system has no MPTCP, or there is nothing left to ask.
        }
    }

    [LibraryImport("libc", EntryPoint = "ioctl")]
    private static partial int Ioctl(SafeHandle handle, nuint request, out int value);

    [LibraryImport("libc", EntryPoint = "poll")]
    private static partial int Poll(ref PollDescriptor question, nuint count, int milliseconds);

    // struct pollfd.
    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Found;
    }
}
