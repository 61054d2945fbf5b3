using System.Net.Sockets;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// What the relay's process grows by for each relayed connection: idle after one message, and with a peer that has sent
/// what the upstream does not read. What the kernel holds is not in it.
/// </summary>
internal sealed class RelayMemoryBenchmark : IBenchmark
{
    private const int WarmUpCount = 32;
    private const int BusyCount = 32;
    private const int BlockBytes = 64 * 1024;
    private const double Kibibyte = 1024;

    private static readonly Variant[] Variants = [Variant.Graceful, Variant.HaProxy, Variant.Nginx];
    private static readonly TimeSpan SettleTime = TimeSpan.FromSeconds(0.5);

    public string Name => "relay-memory";

    public string Description => "resident memory of samples/TcpProxy, HAProxy and nginx for each relayed connection";

    public IReadOnlyList<Variant> Baselines => [Variant.HaProxy, Variant.Nginx];

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        if (RelayCommand.FindMissing() is { } missing)
        {
            figures.LeaveOut(missing);
            return;
        }

        foreach (var variant in Variants)
        {
            await MeasureAsync(variant, idleCount: options.IsShort ? 100 : 1000, figures);
        }
    }

    private static async Task MeasureAsync(Variant variant, int idleCount, Figures figures)
    {
        await using var relay = await RelayProcess.StartAsync(variant);
        var pairs = new List<(Socket Peer, Socket Upstream)>();
        try
        {
            var empty = await GrowAsync(WarmUpCount, static _ => { });
            var idle = await GrowAsync(idleCount, static _ => { });
            figures.Add(variant, "KiB/idle connection", (idle - empty) / Kibibyte / idleCount);
            var busy = await GrowAsync(BusyCount, SendUntilBlocked);
            figures.Add(variant, "KiB/held up connection", (busy - idle) / Kibibyte / BusyCount);
        }
        finally
        {
            pairs.ForEach(static pair =>
            {
                pair.Peer.Dispose();
                pair.Upstream.Dispose();
            });
        }

        async Task<double> GrowAsync(int count, Action<Socket> use)
        {
            for (var i = 0; i < count; i++)
            {
                var pair = relay.ConnectPair();
                pairs.Add(pair);
                pair.Peer.Send([1]);
                pair.Upstream.Receive(new byte[1]);
                pair.Upstream.Send([2]);
                pair.Peer.Receive(new byte[1]);
                use(pair.Peer);
            }

            await Task.Delay(SettleTime); // Nothing tells when the relay has no more to do.
            return relay.ResidentBytes;
        }
    }

    private static void SendUntilBlocked(Socket peer)
    {
        var block = new byte[BlockBytes];
        peer.Blocking = false;
        do
        {
            while (peer.Send(block, SocketFlags.None, out var error) > 0 && error == SocketError.Success)
            {
            }
        }
        while (peer.Poll(SettleTime, SelectMode.SelectWrite));
    }
}
