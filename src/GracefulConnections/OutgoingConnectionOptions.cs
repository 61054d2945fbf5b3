using System.Net;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections;

/// <summary>
/// How connections are made by the <see cref="IConnectionFactory"/> of <c>AddGracefulConnectionFactory()</c>. Checked
/// when the host starts, or at the first connect where no host does. How they close says
/// <see cref="GracefulCloseOptions"/>.
/// </summary>
public class OutgoingConnectionOptions
{
    /// <summary>
    /// Gets or sets the longest time for a connect: the resolution of the name and all attempts together. Defaults to
    /// 15 seconds.
    /// </summary>
    /// <value>A positive time of at most one day, or <see cref="Timeout.InfiniteTimeSpan"/>.</value>
    public TimeSpan ConnectTimeout { get; set; } = TimeSpan.FromSeconds(15); // Outlasts three lost SYNs: 1 + 2 + 4 s.

    /// <summary>
    /// Gets or sets how long an attempt has before the next address of the name is tried beside it. An attempt that
    /// fails sooner starts the next one at once. Defaults to 250 milliseconds, as RFC 8305 recommends.
    /// </summary>
    /// <value>From 10 milliseconds (RFC 8305, section 5) to one day.</value>
    public TimeSpan AttemptDelay { get; set; } = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// Gets or sets whether small sends go out at once instead of waiting for the acknowledgement of earlier ones.
    /// Defaults to <see langword="true"/>, as for the connections that Kestrel accepts. Unix domain sockets have no
    /// such delay.
    /// </summary>
    public bool NoDelay { get; set; } = true;

    /// <summary>
    /// Gets or sets the silence after which the kernel asks the peer whether it is still there (TCP keep-alive). It
    /// asks three times in all, with a third of this time between two questions, then the connection ends as timed out.
    /// <see langword="null"/> is off, and the default.
    /// </summary>
    /// <value>
    /// <see langword="null"/>, or from 1 second to 32,767 seconds, which is the kernel's own limit. Fractions of a
    /// second are rounded up.
    /// </value>
    public TimeSpan? KeepAlive { get; set; }

    /// <summary>
    /// Gets or sets the size of the kernel's send buffer in bytes (<c>SO_SNDBUF</c>). <see langword="null"/> lets the
    /// kernel find it, and is the default.
    /// </summary>
    /// <value><see langword="null"/>, or one byte or more.</value>
    public int? SendBufferSize { get; set; }

    /// <summary>
    /// Gets or sets the size of the kernel's receive buffer in bytes (<c>SO_RCVBUF</c>). <see langword="null"/> lets
    /// the kernel find it, and is the default.
    /// </summary>
    /// <value><see langword="null"/>, or one byte or more.</value>
    public int? ReceiveBufferSize { get; set; }

    /// <summary>
    /// Gets or sets the size of the block of memory that one read receives into, in bytes. Defaults to 64 KiB. The
    /// blocks are rented while a read runs and until its bytes are consumed.
    /// </summary>
    /// <value>From 4 KiB to 1 MiB.</value>
    public int ReadBlockSize { get; set; } = 64 * 1024;

    /// <summary>
    /// Gets or sets whether a read waits for bytes before it rents its block, so that an idle connection holds none.
    /// Defaults to <see langword="true"/>. <see langword="false"/> saves one system call a read, and holds
    /// <see cref="ReadBlockSize"/> for each connection that waits in a read.
    /// </summary>
    public bool WaitForDataBeforeAllocatingBuffer { get; set; } = true;

    /// <summary>
    /// Gets or sets the address that TCP connections are made from. <see langword="null"/> lets the kernel choose, and
    /// is the default. Addresses of the other family are not tried then.
    /// </summary>
    public IPEndPoint? LocalEndPoint { get; set; }

    /// <summary>
    /// Gets or sets whether the server's drain waits for these connections too, and asks them to close once all
    /// connections of the same drain have ended that the server accepted. They are in
    /// <see cref="IDrainCoordinator.GetConnections"/> from <c>RunGracefullyAsync()</c>, <c>RelayAsync()</c> or
    /// <c>DisposeAsync()</c> on, whichever comes first. Defaults to <see langword="false"/>: the connections belong to
    /// the program, which ends them itself. Needs <c>AddGracefulShutdown()</c>.
    /// </summary>
    public bool DrainWithServer { get; set; }
}
