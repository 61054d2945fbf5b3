namespace TeardownLab;

/// <summary>How a peer's last read ended.</summary>
internal enum PeerSaw
{
    /// <summary>FIN: as far as the peer can tell, what it received is everything there was.</summary>
    Eof,

    /// <summary>RST: the peer knows that something went wrong.</summary>
    Reset,

    /// <summary>Nothing: the peer ended the connection itself.</summary>
    Nothing,
}
