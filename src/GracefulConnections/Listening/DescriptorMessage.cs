using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;

namespace GracefulConnections.Listening;

/// <summary>One message on a Unix domain socket, with at most one descriptor (SCM_RIGHTS in unix(7)).</summary>
internal readonly record struct DescriptorMessage(string Text, Descriptor? Descriptor = null)
{
    private const int SocketLevel = 1; // SOL_SOCKET.
    private const int Rights = 1; // SCM_RIGHTS.
    private const int CloseOnExec = 0x40000000; // MSG_CMSG_CLOEXEC.
    private const int NoSignal = 0x4000; // MSG_NOSIGNAL.
    private const int ControlTruncated = 0x8; // MSG_CTRUNC.
    private const int MostBytes = 64 * 1024;
    private const int MostControlBytes = 64;

    /// <summary>Sends it without waiting.</summary>
    /// <exception cref="IOException">It was not sent.</exception>
    public void Send(Socket socket)
    {
        if (!TrySend(socket))
        {
            throw new IOException(Marshal.GetPInvokeErrorMessage(LibC.ErrorAgain));
        }
    }

    /// <summary>Sends it, if there is room.</summary>
    /// <returns>Whether there is room: the other side may have hundreds of messages that it has not read.</returns>
    /// <exception cref="IOException">It was not sent.</exception>
    public unsafe bool TrySend(Socket socket)
    {
        var bytes = Encoding.UTF8.GetBytes(Text);
        var control = stackalloc byte[MostControlBytes];
        var isHeld = false;
        try
        {
            fixed (byte* start = bytes)
            {
                LibC.Buffer buffer = new() { Start = start, Length = (nuint)bytes.Length };
                LibC.MessageHeader header = new() { Buffers = &buffer, BufferCount = 1 };
                if (Descriptor is not null)
                {
                    Descriptor.DangerousAddRef(ref isHeld);
                    *(ControlHeader*)control = new ControlHeader
                    {
                        Length = (nuint)(sizeof(ControlHeader) + sizeof(int)),
                        Level = SocketLevel,
                        Type = Rights,
                    };
                    *(int*)(control + sizeof(ControlHeader)) = Descriptor.Value;
                    header.Control = control;
                    header.ControlLength = (nuint)(sizeof(ControlHeader) + sizeof(nint)); // CMSG_SPACE.
                }

                return LibC.SendMessage(socket.SafeHandle, &header, NoSignal | LibC.DoNotWait) >= 0
                    || (Marshal.GetLastPInvokeError() == LibC.ErrorAgain ? false : throw LastError());
            }
        }
        finally
        {
            if (isHeld)
            {
                Descriptor!.DangerousRelease();
            }
        }
    }

    /// <summary>Receives one without waiting.</summary>
    /// <returns>
    /// <see langword="null"/> if none is there. A message with an empty text is the end of the connection.
    /// </returns>
    /// <exception cref="IOException">The connection is broken.</exception>
    public static unsafe DescriptorMessage? TryReceive(Socket socket)
    {
        var bytes = new byte[MostBytes];
        var control = stackalloc byte[MostControlBytes];
        fixed (byte* start = bytes)
        {
            LibC.Buffer buffer = new() { Start = start, Length = (nuint)bytes.Length };
            LibC.MessageHeader header = new()
            {
                Buffers = &buffer,
                BufferCount = 1,
                Control = control,
                ControlLength = (nuint)(sizeof(ControlHeader) + sizeof(int)), // The kernel closes a second descriptor.
            };
            var received = LibC.ReceiveMessage(socket.SafeHandle, &header, CloseOnExec | LibC.DoNotWait);
            if (received < 0)
            {
                return Marshal.GetLastPInvokeError() switch
                {
                    LibC.ErrorAgain => null,
                    LibC.ErrorReset => TryReceive(socket), // It ended without reading all, told once and first.
                    _ => throw LastError(),
                };
            }

            var rights = (ControlHeader*)control;
            var descriptor = header.ControlLength >= (nuint)(sizeof(ControlHeader) + sizeof(int))
                && rights->Level == SocketLevel
                && rights->Type == Rights
                    ? new Descriptor(*(int*)(control + sizeof(ControlHeader)))
                    : null;
            if ((header.Flags & ControlTruncated) != 0)
            {
                descriptor?.Dispose(); // The process has no descriptor left, or the other side sent more than one.
                throw new IOException(
                    "A descriptor of the other process could not be received. Check the limit of open files "
                    + "(ulimit -n).");
            }

            return new DescriptorMessage(Encoding.UTF8.GetString(bytes, 0, (int)received), descriptor);
        }
    }

    private static IOException LastError() => new(Marshal.GetLastPInvokeErrorMessage());

    // struct cmsghdr.
    [StructLayout(LayoutKind.Sequential)]
    private struct ControlHeader
    {
        public nuint Length;
        public int Level;
        public int Type;
    }
}
