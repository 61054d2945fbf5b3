namespace GracefulConnections.Tests.Support;

/// <summary>Connections in memory that the tests need often, and short forms for their peers.</summary>
internal static class InMemory
{
    /// <summary>Makes a connection whose transport tells nothing of acknowledgements.</summary>
    public static InMemoryConnection WithoutKernel() => new(new InMemoryConnectionOptions { HasKernel = false }) { ConnectionId = "in-memory" };

    /// <summary>Makes a connection whose transport tells of acknowledgements.</summary>
    public static InMemoryConnection WithKernel(TimeProvider time) =>
        new(new InMemoryConnectionOptions { TimeProvider = time }) { ConnectionId = "in-memory" };

    /// <summary>Makes one where a flush waits once the peer has not read 4 bytes.</summary>
    /// <param name="kernelTime">The clock of a kernel that tells of acknowledgements; <see langword="null"/> for none.</param>
    public static InMemoryConnection Narrow(TimeProvider? kernelTime = null) => new(new InMemoryConnectionOptions
    {
        TimeProvider = kernelTime ?? TimeProvider.System,
        HasKernel = kernelTime is not null,
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
