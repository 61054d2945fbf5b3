namespace GracefulConnections.Testing;

/// <summary>How a connection ended, as its peer saw it.</summary>
public enum PeerSaw
{
    /// <summary>The other side's FIN: the end of a stream that is whole.</summary>
    Eof,

    /// <summary>The other side's RST, or the network gave up: what was on its way may be lost.</summary>
    Reset,
}
