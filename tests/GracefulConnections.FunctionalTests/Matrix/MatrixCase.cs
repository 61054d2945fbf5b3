namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>One cell of the matrix.</summary>
public sealed record MatrixCase(MatrixSide Side, MatrixEnd End, MatrixActivity Activity, MatrixTransport Transport)
{
    /// <summary>Gets whether this can be: only TLS has a close_notify.</summary>
    public bool Exists => End != MatrixEnd.CloseNotify || Transport is MatrixTransport.TlsInside or MatrixTransport.TlsOutside;
}
