namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>What the connection runs on.</summary>
public enum MatrixTransport
{
    Plain,
    TlsInside,
    TlsOutside,
    Unix,
    NoSocket,
}
