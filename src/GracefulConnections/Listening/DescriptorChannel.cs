using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace GracefulConnections.Listening;

/// <summary>The connection between a process and its successor. Each message arrives whole.</summary>
internal sealed class DescriptorChannel : IDisposable
{
    private const int SocketLevel = 1; // SOL_SOCKET.
    private const int PeerCredentials = 17; // SO_PEERCRED.

    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(5);

    private readonly Socket _socket;

    public DescriptorChannel(Socket socket)
    {
        _socket = socket;
        Span<uint> credentials = stackalloc uint[3]; // struct ucred: process, user, group.
        socket.GetRawSocketOption(SocketLevel, PeerCredentials, MemoryMarshal.AsBytes(credentials));
        (ProcessId, UserId) = ((int)credentials[0], credentials[1]);
    }

    /// <summary>Gets the process on the other side.</summary>
    public int ProcessId { get; }

    /// <summary>Gets the user as which the other side runs.</summary>
    public uint UserId { get; }

    /// <summary>Gets whether the other side may be trusted with the sockets: the same user, or root.</summary>
    public bool IsTrusted => UserId == 0 || UserId == LibC.GetUserId();

    public static Socket CreateSocket() => new(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);

    /// <exception cref="IOException">The other side is gone.</exception>
    public void Send(string text, Descriptor? descriptor = null) =>
        new DescriptorMessage(text, descriptor).Send(_socket);

    /// <summary>Sends a message, and waits until there is room for it: 277 of them fill a socket's buffer.</summary>
    /// <exception cref="IOException">The other side is gone.</exception>
    public async Task SendAsync(
        string text, Descriptor? descriptor, TimeProvider time, CancellationToken cancellationToken)
    {
        while (!new DescriptorMessage(text, descriptor).TrySend(_socket))
        {
            await Task.Delay(RetryDelay, time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Waits for the next message. One that is there is returned although the time is up: this process may have stood
    /// still when it came, and the other one acts on it.
    /// </summary>
    /// <returns><see langword="null"/> if the other side has ended the connection.</returns>
    /// <exception cref="IOException">A descriptor could not be received.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled, and no message is there.</exception>
    public async Task<DescriptorMessage?> ReceiveAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            var isBroken = false;
            try
            {
                // Takes nothing: a managed receive would lose the descriptor that comes with a message.
                await _socket.ReceiveAsync(Memory<byte>.Empty, cancellationToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // One last look.
            }
            catch (SocketException)
            {
                isBroken = true; // It ended without reading all, which is told ahead of its last words.
            }

            if (DescriptorMessage.TryReceive(_socket) is { } message)
            {
                return message.Text.Length > 0 ? message : null;
            }

            if (isBroken)
            {
                return null;
            }

            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    public void Dispose() => _socket.Dispose();
}
