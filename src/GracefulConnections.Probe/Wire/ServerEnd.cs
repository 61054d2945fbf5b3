namespace GracefulConnections.Probe.Wire;

/// <summary>How the server ended a connection, as its peer could see it.</summary>
internal enum ServerEnd
{
    /// <summary>The connection is open as far as the peer knows.</summary>
    None,

    /// <summary>The server sent FIN, behind everything that it wanted to send.</summary>
    Fin,

    /// <summary>The server sent RST, and no FIN before it.</summary>
    Reset,

    /// <summary>The network gave up: no answer, or no way to the server. Nothing is known about the server.</summary>
    Unreachable,
}
