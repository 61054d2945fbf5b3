using System.Buffers;

namespace GracefulConnections.Testing;

/// <summary>What an <see cref="InMemoryConnection"/> is like.</summary>
public sealed record InMemoryConnectionOptions
{
    /// <summary>Gets the clock of the connection. Defaults to the system's.</summary>
    /// <value>
    /// Use the same clock as the server: the <see cref="System.TimeProvider"/> of its service container.
    /// </value>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>
    /// Gets whether the server can ask a kernel about the connection, as on a TCP socket. Defaults to
    /// <see langword="true"/>.
    /// </summary>
    /// <value>
    /// <see langword="false"/>: as on a transport without a socket. Nobody sees what the peer has acknowledged, and
    /// delivered means handed to the transport.
    /// </value>
    public bool HasKernel { get; init; } = true;

    /// <summary>Gets how much the server's kernel holds for the peer. Defaults to 64 KiB.</summary>
    /// <value>Bytes, 0 or more.</value>
    public int SendBufferBytes { get; init; } = 64 * 1024;

    /// <summary>
    /// Gets how much the peer's kernel holds for its program: while it is full, the window is closed. Defaults to 64
    /// KiB.
    /// </summary>
    /// <value>Bytes, 0 or more.</value>
    public int WindowBytes { get; init; } = 64 * 1024;

    /// <summary>
    /// Gets from how many bytes on a flush waits, with <c>UseGracefulShutdown()</c> and without. Defaults to 64 KiB, as
    /// Kestrel's <c>SocketTransportOptions.MaxWriteBufferSize</c>.
    /// </summary>
    /// <value>Bytes, at least 1; 0 for no limit.</value>
    public long PauseWriterThreshold { get; init; } = 64 * 1024;

    /// <summary>
    /// Gets where the connection gets its memory. Defaults to <see langword="null"/>: the runtime's own pool.
    /// </summary>
    /// <value>A <see cref="PoisoningMemoryPool"/> finds who uses memory after its return.</value>
    public MemoryPool<byte>? MemoryPool { get; init; }

    internal void Validate()
    {
        ArgumentNullException.ThrowIfNull(TimeProvider);
        ArgumentOutOfRangeException.ThrowIfNegative(SendBufferBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(WindowBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(PauseWriterThreshold);
    }
}
