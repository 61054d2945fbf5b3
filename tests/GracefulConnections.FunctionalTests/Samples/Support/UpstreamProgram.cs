using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>A server that is not ours, on a free port of this machine.</summary>
internal sealed class UpstreamProgram : IAsyncDisposable
{
    // Below the ports that the kernel gives to connections: what is free now will not be taken by one of them.
    private const int LowestPort = 20_000;
    private const int HighestPort = 32_000;

    private readonly ChildProcess _process;

    private UpstreamProgram(ChildProcess process, int port) => (_process, Port) = (process, port);

    public int Port { get; }

    /// <summary>Starts a program, and returns once it listens.</summary>
    public static async Task<UpstreamProgram> StartAsync(string path, Func<int, IEnumerable<string>> arguments)
    {
        var port = FindFreePort();
        var program = new UpstreamProgram(ChildProcess.Start(path, arguments(port)), port);
        try
        {
            await Eventually.IsTrueAsync(() => program._process.HasExited || KernelSocket.OnPort(port).Any(socket => socket.State == KernelSocket.Listen));
            Assert.False(program._process.HasExited, program._process.HasExited ? $"{await program._process.WaitForExitAsync()}" : "");
            return program;
        }
        catch
        {
            await program.DisposeAsync();
            throw;
        }
    }

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    private static int FindFreePort()
    {
        while (true)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            var port = Random.Shared.Next(LowestPort, HighestPort);
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
                return port;
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // The next one.
            }
        }
    }
}
