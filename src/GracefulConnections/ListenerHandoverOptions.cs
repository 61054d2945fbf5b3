using System.Runtime.InteropServices;

namespace GracefulConnections;

/// <summary>
/// How a process passes its listening sockets to the process that replaces it. Checked when the host starts; bad values
/// stop it before it listens.
/// </summary>
public class ListenerHandoverOptions
{
    /// <summary>
    /// Gets or sets the path of the Unix domain socket through which a successor asks for the listening sockets. Each
    /// process of a service uses the same path. Defaults to <see langword="null"/>: <c>handover.sock</c> in
    /// <c>$RUNTIME_DIRECTORY</c>, which systemd sets for a unit with <c>RuntimeDirectory=</c>. Without that variable
    /// no socket is handed over.
    /// </summary>
    /// <value>
    /// At most 99 bytes as a full path. Its directory must exist, belong to the process's own user or to root, and not
    /// be writable by others. A relative path begins in the current directory.
    /// </value>
    public string? SocketPath { get; set; }

    /// <summary>
    /// Gets or sets whether the service manager's sockets are used: those in <c>LISTEN_FDS</c> serve the endpoints that
    /// have their addresses, and new ones are left with the manager (<c>FDSTORE</c>), so that they outlive a crash.
    /// Defaults to <see langword="true"/>. Without <c>LISTEN_FDS</c> and <c>NOTIFY_SOCKET</c> in the environment
    /// nothing happens.
    /// </summary>
    /// <remarks>
    /// A passed listening socket whose address no endpoint has is closed, because it would go on listening with nobody
    /// to accept. Sockets of other kinds are left alone.
    /// </remarks>
    public bool UseServiceManager { get; set; } = true;

    /// <summary>
    /// Gets or sets the signal at which this process starts its own command line again, as a successor. Defaults to
    /// <see langword="null"/>: successors are started by somebody else.
    /// </summary>
    /// <value>
    /// For example <see cref="PosixSignal.SIGHUP"/>. Not SIGTERM, SIGINT or SIGQUIT, which stop the host. Needs
    /// <see cref="SocketPath"/>.
    /// </value>
    /// <remarks>
    /// The command line is started as it was written, so an executable behind a symbolic link is the one to which the
    /// link leads now.
    /// </remarks>
    public PosixSignal? RestartSignal { get; set; }

    /// <summary>
    /// Gets or sets how long a successor may take from its start until it is ready. Then the handover is given up, a
    /// process that <see cref="RestartSignal"/> started is killed, and this process goes on serving. Also how long this
    /// process waits at its start for the listening sockets of its predecessor. Defaults to 60 seconds.
    /// </summary>
    /// <value>A positive time of at most a day.</value>
    public TimeSpan ReadyTimeout { get; set; } = TimeSpan.FromSeconds(60); // Below systemd's TimeoutStartSec, 90 s.
}
