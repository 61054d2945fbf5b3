using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>A server that is not ours, on a free port of this machine.</summary>
internal sealed class UpstreamProgram : IAsyncDisposable
{
    private readonly ChildProcess _process;

    private UpstreamProgram(ChildProcess process, int port) => (_process, Port) = (process, port);

    public int Port { get; }

    /// <summary>Starts a program, and returns once it listens.</summary>
    public static async Task<UpstreamProgram> StartAsync(string path, Func<int, IEnumerable<string>> arguments)
    {
        var port = FreePort.Find();
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
}
