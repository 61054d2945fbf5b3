namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>The other end of a connection of the matrix, whatever it runs on.</summary>
internal abstract class MatrixPeer : IAsyncDisposable
{
    public abstract Task SendAsync(int count);

    public abstract Task ReceiveExactlyAsync(int count);

    /// <summary>Receives until the end.</summary>
    /// <returns>The bytes received, and the end: FIN, RST or close_notify.</returns>
    public abstract Task<(long Bytes, string End)> ReceiveToEndAsync();

    /// <summary>Ends its own half, and goes on reading.</summary>
    public abstract Task HalfCloseAsync(bool withCloseNotify);

    public abstract void Reset();

    /// <summary>
    /// After its end of the stream, and the server's close: tells what came behind it on the wire.
    /// </summary>
    /// <returns>Empty where the end was the last thing to come.</returns>
    public abstract Task<string> ReceiveWhatFollowsAsync(string end);

    public abstract ValueTask DisposeAsync();
}
