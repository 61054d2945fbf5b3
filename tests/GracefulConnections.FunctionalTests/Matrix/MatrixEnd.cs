namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>How the side ends the connection. Where it is the server, the peer answers in the same way.</summary>
public enum MatrixEnd
{
    /// <summary>The server's handler returns, and the peer answers with FIN; or the peer sends FIN.</summary>
    Fin,

    /// <summary>As <see cref="Fin"/>, with the peer's close_notify before it.</summary>
    CloseNotify,

    /// <summary>The server's handler aborts, or the peer resets.</summary>
    Rst,

    /// <summary>From some moment on the peer neither reads nor sends.</summary>
    Stall,
}
