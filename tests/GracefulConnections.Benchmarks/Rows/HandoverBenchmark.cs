using System.Globalization;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.TestSupport;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// A server that is replaced again and again by a new process, while peers connect, ask, read the answer and close, or
/// stay. Nothing is measured: one connection that is lost fails the command.
/// </summary>
internal sealed class HandoverBenchmark : IBenchmark
{
    private const int ShortHandovers = 3;
    private const int DefaultHandovers = 20;
    private const int SoakHandovers = 1000;
    private const int MostLines = 10;

    private static readonly byte[] Quit = "quit\n"u8.ToArray();
    private static readonly byte[] Id = "id\n"u8.ToArray();

    public string Name => "handover";

    public string Description => "restarts that hand the listening socket over, under load";

    public bool IsSoak => true;

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        var handovers = options.IsShort ? ShortHandovers : options.IsSoak ? SoakHandovers : DefaultHandovers;
        var directory = Directory.CreateTempSubdirectory("graceful-handover-");
        try
        {
            var (text, failures) = await RunAsync(handovers, Path.Combine(directory.FullName, "handover.sock"));
            figures.AddTable(text, failures);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static async Task<(string Text, int Failures)> RunAsync(int handovers, string path)
    {
        var endPoint = FindFreeEndPoint();
        var current = await HandoverProcess.StartAsync(endPoint.Port, path);
        (string Name, ConnectLoad Load)[] loads =
        [
            ("ask at once", new ConnectLoad(endPoint, Quit, 4, TimeSpan.Zero, TimeSpan.FromMilliseconds(2))),
            ("ask after 5 ms", new ConnectLoad(endPoint, Quit, 4, TimeSpan.FromMilliseconds(5), TimeSpan.Zero)),
            ("ask after 100 ms", new ConnectLoad(endPoint, Quit, 32, TimeSpan.FromMilliseconds(100), TimeSpan.Zero)),
            ("stay", new ConnectLoad(endPoint, Id, 40, TimeSpan.Zero, TimeSpan.Zero, staysOpen: true)),
        ];
        var badExits = 0;
        try
        {
            await loads[0].Load.ServesMoreAsync(10);
            for (var i = 0; i < handovers; i++)
            {
                var next = await HandoverProcess.StartAsync(endPoint.Port, path);
                badExits += await current.WaitForExitAsync() == 0 ? 0 : 1;
                current.Dispose();
                current = next;
            }

            await loads[0].Load.ServesMoreAsync(10);
            await Task.WhenAll(loads.Select(static load => load.Load.StopAsync()));
        }
        finally
        {
            current.Dispose();
        }

        var lost = loads.SelectMany(static load => load.Load.Lost.Select(lost => (load.Name, Way: lost.Key, Count: lost.Value))).ToArray();
        string[] lines =
        [
            $"  handovers: {handovers}, exits with another code than 0: {badExits}",
            .. loads.Select(static load => string.Create(
                CultureInfo.InvariantCulture,
                $"  peers that {load.Name}: {load.Load.Served} served, the worst in {load.Load.Worst.TotalMilliseconds:0} ms, {load.Load.Lost.Values.Sum()} lost")),
            .. lost.Take(MostLines).Select(static lost => $"    {lost.Count} of those that {lost.Name}: {lost.Way}"),
        ];
        return (string.Join('\n', lines), badExits + lost.Sum(static lost => lost.Count));
    }

    private static IPEndPoint FindFreeEndPoint()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }
}
