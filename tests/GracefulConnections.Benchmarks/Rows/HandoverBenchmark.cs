using System.Globalization;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.TestSupport;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// A server that is replaced again and again by a new process, while peers connect, ask, read the answer and close, or
/// stay. Some old processes are held by a busy peer, which nobody who connects may feel. One connection that is lost
/// fails the command, and so does one that waited for long, but in a short run, which shares its machine.
/// </summary>
internal sealed class HandoverBenchmark : IBenchmark
{
    private const int ShortHandovers = 3;
    private const int DefaultHandovers = 20;
    private const int SoakHandovers = 1000;
    private const int MostLines = 10;
    private const int BusyEvery = 20; // So many handovers share one that a busy peer holds.

    private static readonly TimeSpan Work = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LongestConnect = TimeSpan.FromSeconds(0.5);
    private static readonly byte[] WorkRequest = "work\n"u8.ToArray();
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
            var (text, failures, worst) = await RunAsync(handovers, Path.Combine(directory.FullName, "handover.sock"));
            var isSlow = worst > LongestConnect && !options.IsShort;
            var verdict = isSlow ? $"\n  FAILS: a connect took {worst.TotalMilliseconds:0} ms" : string.Empty;
            figures.AddTable(text + verdict, failures + (isSlow ? 1 : 0));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static async Task<(string Text, int Failures, TimeSpan Worst)> RunAsync(int handovers, string path)
    {
        var endPoint = FindFreeEndPoint();
        string[] work = ["--Work", $"{Work:c}"];
        var current = await HandoverProcess.StartAsync(endPoint.Port, path, work);
        (string Name, ConnectLoad Load)[] loads =
        [
            ("ask at once", new ConnectLoad(endPoint, Quit, 4, TimeSpan.Zero, TimeSpan.FromMilliseconds(2))),
            ("ask after 5 ms", new ConnectLoad(endPoint, Quit, 4, TimeSpan.FromMilliseconds(5), TimeSpan.Zero)),
            ("ask after 100 ms", new ConnectLoad(endPoint, Quit, 32, TimeSpan.FromMilliseconds(100), TimeSpan.Zero)),
            ("stay", new ConnectLoad(endPoint, Id, 40, TimeSpan.Zero, TimeSpan.Zero, staysOpen: true)),
        ];
        var (badExits, cut) = (0, 0);
        try
        {
            await loads[0].Load.ServesMoreAsync(10);
            for (var i = 0; i < handovers; i++)
            {
                var busy = i % BusyEvery == 0 ? await AskForWorkAsync(endPoint) : null;
                var next = await HandoverProcess.StartAsync(endPoint.Port, path, work);
                cut += busy is null || await IsAnsweredAsync(busy) ? 0 : 1;
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
            $"  peers that held an old process for {Work.TotalSeconds} s: {(handovers + BusyEvery - 1) / BusyEvery}, {cut} lost",
            .. loads.Select(static load => string.Create(
                CultureInfo.InvariantCulture,
                $"  peers that {load.Name}: {load.Load.Served} served, the worst in {load.Load.Worst.TotalMilliseconds:0} ms, {load.Load.Lost.Values.Sum()} lost")),
            .. lost.Take(MostLines).Select(static lost => $"    {lost.Count} of those that {lost.Name}: {lost.Way}"),
        ];
        var worst = loads.Max(static load => load.Load.Worst);
        return (string.Join('\n', lines), badExits + cut + lost.Sum(static lost => lost.Count), worst);
    }

    private static async Task<Socket> AskForWorkAsync(IPEndPoint endPoint)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(endPoint);
        await socket.SendAsync(WorkRequest);
        return socket;
    }

    private static async Task<bool> IsAnsweredAsync(Socket socket)
    {
        using (socket)
        {
            var buffer = new byte[64];
            var received = 0;
            try
            {
                for (int count; (count = await socket.ReceiveAsync(buffer).WaitAsync(WaitLimit.Longest)) > 0;)
                {
                    received += count;
                }
            }
            catch (SocketException)
            {
                return false;
            }

            return received > 1;
        }
    }

    internal static IPEndPoint FindFreeEndPoint()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }
}
