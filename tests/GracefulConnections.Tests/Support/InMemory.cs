namespace GracefulConnections.Tests.Support;

/// <summary>Connections in memory that the tests need often, and short forms for their peers.</summary>
internal static class InMemory
{
    /// <summary>Makes a connection whose transport tells nothing of acknowledgements.</summary>
    public static InMemoryConnection WithoutKernel() => new(new InMemoryConnectionOptions { HasKernel = false }) { ConnectionId = "in-memory" };

    /// <summary>Makes the same, where a flush waits once the peer has not read 4 bytes.</summary>
    public static InMemoryConnection Narrow() => new(new InMemoryConnectionOptions
    {
        HasKernel = false,
        SendBufferBytes = 0,
        WindowBytes = 3,
        PauseWriterThreshold = 1,
    })
    {
        ConnectionId = "in-memory",
    };

    public static void Send(this InMemoryConnection connection, string text) => connection.Peer.Send(text);

    public static string Receive(this InMemoryConnection connection) => connection.Peer.Receive();

    public static Task<string> ReceiveToEndAsync(this InMemoryConnection connection) =>
        connection.Peer.ReceiveToEndAsync();

    public static void HalfClose(this InMemoryConnection connection) => connection.Peer.HalfClose();

    public static void Reset(this InMemoryConnection connection) => connection.Peer.Reset();
}
