namespace GracefulConnections.FunctionalTests.Support;

/// <summary>How a peer's last read ended.</summary>
internal enum PeerSaw
{
    Eof,
    Reset,
}
