using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// The sample <c>samples/TcpProxy</c> against HAProxy and nginx: one large stream each way, and many small messages back and forth. Every byte of the streams is compared. The peers and
/// what is relayed to are the same for all three, and in this process; they share the processors with the relay.
/// </summary>
internal sealed class ProxyBenchmark : IBenchmark
{
    private const int Connections = 64;
    private const int MessageBytes = 64;
    private const long StreamBytes = 1L << 30;
    private const long ShortStreamBytes = 128L << 20;
    private const double Megabyte = 1e6;
    private const double Gigabyte = 1e9;

    private static readonly Variant[] Variants = [Variant.Graceful, Variant.HaProxy, Variant.Nginx];

    private long _streamBytes = StreamBytes;

    public string Name => "proxy";

    public string Description => $"samples/TcpProxy, HAProxy and nginx relay streams of {_streamBytes / Megabyte:N0} MB, and {MessageBytes} bytes of ping-pong on {Connections} connections";

    public IReadOnlyList<Variant> Baselines => [Variant.HaProxy, Variant.Nginx];

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        if (RelayCommand.FindMissing() is { } missing)
        {
            figures.LeaveOut(missing);
            return;
        }

        _streamBytes = options.IsShort ? ShortStreamBytes : StreamBytes;
        for (var round = 0; round < options.Rounds;)
        {
            var relays = new List<RelayProcess>();
            try
            {
                foreach (var variant in Variants)
                {
                    relays.Add(await RelayProcess.StartAsync(variant));
                    relays[^1].ConnectEchoes(Connections, MessageBytes);
                }

                relays.ForEach(relay => WarmUp(relay, options));
                for (var i = 0; i < options.RoundsPerProcess && round < options.Rounds; i++, round++)
                {
                    // Each measurement of all three, one right after the other; who begins changes from round to round.
                    RelayProcess[] inTurn = [.. relays[(round % relays.Count)..], .. relays[..(round % relays.Count)]];
                    Array.ForEach(inTurn, relay => MeasureStream(relay, isToUpstream: true, figures));
                    Array.ForEach(inTurn, relay => MeasureStream(relay, isToUpstream: false, figures));
                    Array.ForEach(inTurn, relay => MeasureEchoes(relay, options, figures));
                }
            }
            finally
            {
                foreach (var relay in relays)
                {
                    await relay.DisposeAsync();
                }
            }
        }
    }

    private void WarmUp(RelayProcess relay, BenchmarkOptions options)
    {
        relay.Echoes.Run(options.WarmUp);
        RunStream(relay, isToUpstream: true);
        RunStream(relay, isToUpstream: false);
    }

    private void MeasureStream(RelayProcess relay, bool isToUpstream, Figures figures)
    {
        var before = relay.Processor;
        var elapsed = RunStream(relay, isToUpstream);
        var processor = relay.Processor - before;
        var direction = isToUpstream ? "to upstream" : "from upstream";
        figures.Add(relay.Variant, $"MB/s {direction}", _streamBytes / Megabyte / elapsed.TotalSeconds);
        figures.Add(relay.Variant, $"relay CPU s/GB {direction}", processor.TotalSeconds / (_streamBytes / Gigabyte));
    }

    private TimeSpan RunStream(RelayProcess relay, bool isToUpstream)
    {
        var (peer, upstream) = relay.ConnectPair();
        using (peer)
        using (upstream)
        {
            return isToUpstream ? StreamLoad.Run(peer, upstream, _streamBytes) : StreamLoad.Run(upstream, peer, _streamBytes);
        }
    }

    private static void MeasureEchoes(RelayProcess relay, BenchmarkOptions options, Figures figures)
    {
        var before = relay.Processor;
        var result = relay.Echoes.Run(options.Window);
        var processor = relay.Processor - before;
        figures.Add(relay.Variant, "requests/s", result.Count / result.Elapsed.TotalSeconds);
        figures.Add(relay.Variant, "relay CPU us/request", processor.TotalMicroseconds / result.Count);
    }
}
