using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>Much of it through samples/TcpProxy, both ways at the same time. Every byte is compared, and the FIN behind them is awaited.</summary>
internal sealed class RelayVolumeBenchmark : IBenchmark
{
    private const long Bytes = 1L << 30;
    private const long ShortBytes = 64L << 20;

    private long _bytes = Bytes;

    public string Name => "relay-volume";

    public string Description => $"{_bytes:N0} bytes each way through samples/TcpProxy at the same time";

    public bool IsSoak => true;

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        _bytes = options.IsShort ? ShortBytes : Bytes;
        await using var relay = await RelayProcess.StartAsync(Variant.Graceful);
        var (peer, upstream) = relay.ConnectPair();
        using (peer)
        using (upstream)
        {
            var took = await Task.WhenAll(
                Task.Run(() => StreamLoad.Run(peer, upstream, _bytes)), Task.Run(() => StreamLoad.Run(upstream, peer, _bytes)));
            figures.AddTable($"  as they were sent: to the upstream in {took[0].TotalSeconds:0.0} s, from it in {took[1].TotalSeconds:0.0} s", failures: 0);
        }
    }
}
