namespace GracefulConnections;

/// <summary>What ends a linger well.</summary>
public enum LingerUntil
{
    /// <summary>The peer's FIN. Loses nothing on any platform.</summary>
    PeerFin,

    /// <summary>
    /// The peer's acknowledgement of all output and of the FIN behind it, and then 100 milliseconds in which the peer
    /// sends nothing: for peers that keep their side open. A peer that sends something later is answered with RST by
    /// the kernel; on some systems that throws away what its program has not read yet. Where the acknowledgement cannot
    /// be seen (see <see cref="CloseResult.UnacknowledgedBytes"/>), this is <see cref="PeerFin"/>.
    /// </summary>
    OutputAcknowledged,
}
