using BenchmarkDotNet.Attributes;
using GracefulConnections.Testing;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Benchmarks.Micro;

/// <summary>
/// A request, its reply and the whole close of a connection in memory. Aim: below 1 ms, so that a test of a handler
/// costs less than its assertions.
/// </summary>
[InProcess]
[MemoryDiagnoser]
public class VirtualCloseMicroBenchmark
{
    private readonly GracefulCloseOptions _options = new();

    /// <summary>Runs it from the connect to the result.</summary>
    [Benchmark]
    public async Task<CloseResult> Close()
    {
        await using var connection = new InMemoryConnection();
        var running = connection.RunGracefullyAsync(ReplyAsync, _options);
        connection.Peer.Send("request\n");
        await connection.Peer.EndedAsync();
        connection.Peer.HalfClose();
        return await running;
    }

    private static async Task ReplyAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        var result = await connection.Transport.Input.ReadAsync(closeRequested);
        connection.Transport.Input.AdvanceTo(result.Buffer.End);
        await connection.Transport.Output.WriteAsync("reply\n"u8.ToArray(), closeRequested);
    }
}
