using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>Small messages back and forth through samples/TcpProxy, HAProxy and nginx, on one connection and on many.</summary>
internal sealed class RelayEchoBenchmark : IBenchmark
{
    private const int MessageBytes = 64;

    private static readonly int[] ConnectionCounts = [1, 16, 64, 256];
    private static readonly Variant[] Variants = [Variant.Graceful, Variant.HaProxy, Variant.Nginx];

    public string Name => "relay-echo";

    public string Description => $"{MessageBytes} bytes of ping-pong through samples/TcpProxy, HAProxy and nginx, by the number of connections";

    public IReadOnlyList<Variant> Baselines => [Variant.HaProxy, Variant.Nginx];

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        if (RelayCommand.FindMissing() is { } missing)
        {
            figures.LeaveOut(missing);
            return;
        }

        var relays = new List<RelayProcess>();
        try
        {
            foreach (var variant in Variants)
            {
                relays.Add(await RelayProcess.StartAsync(variant));
            }

            foreach (var count in ConnectionCounts)
            {
                relays.ForEach(relay => relay.ConnectEchoes(count, MessageBytes));
                relays.ForEach(relay => relay.Echoes.Run(options.WarmUp));
                for (var round = 0; round < options.Rounds; round++)
                {
                    RelayProcess[] inTurn = [.. relays[(round % relays.Count)..], .. relays[..(round % relays.Count)]];
                    Array.ForEach(inTurn, relay => Measure(relay, count, options.Window, figures));
                }
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

    private static void Measure(RelayProcess relay, int count, TimeSpan window, Figures figures)
    {
        var before = relay.Processor;
        var result = relay.Echoes.Run(window);
        var processor = relay.Processor - before;
        figures.Add(relay.Variant, $"requests/s on {count}", result.Count / result.Elapsed.TotalSeconds);
        figures.Add(relay.Variant, $"relay CPU us/request on {count}", processor.TotalMicroseconds / result.Count);
    }
}
