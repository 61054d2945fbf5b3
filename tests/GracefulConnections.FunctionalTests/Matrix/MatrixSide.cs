namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>Which side ends the connection.</summary>
public enum MatrixSide
{
    Server,
    Peer,
}
