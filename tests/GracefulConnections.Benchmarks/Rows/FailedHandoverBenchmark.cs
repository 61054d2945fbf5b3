using System.Globalization;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.TestSupport;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// A server whose successors die or hang before they are ready, one after another, while peers connect, ask, read the
/// answer and close. Nothing is measured: one connection that is lost fails the command.
/// </summary>
internal sealed class FailedHandoverBenchmark : IBenchmark
{
    private const int ShortAttempts = 3;
    private const int DefaultAttempts = 10;
    private const int SoakAttempts = 50;
    private const int ExitCode = 9; // Of a process that dies before it is ready.

    private static readonly string[] Patience = ["--Handover:ReadyTimeout", "00:00:03"];
    private static readonly byte[] Quit = "quit\n"u8.ToArray();

    public string Name => "failed-handover";

    public string Description => "successors that die or hang before they are ready, under load";

    public bool IsSoak => true;

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        var attempts = options.IsShort ? ShortAttempts : options.IsSoak ? SoakAttempts : DefaultAttempts;
        var directory = Directory.CreateTempSubdirectory("graceful-handover-");
        try
        {
            var (text, failures) = await RunAsync(attempts, Path.Combine(directory.FullName, "handover.sock"));
            figures.AddTable(text, failures);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static async Task<(string Text, int Failures)> RunAsync(int attempts, string path)
    {
        var endPoint = HandoverBenchmark.FindFreeEndPoint();
        using var server = await HandoverProcess.StartAsync(endPoint.Port, path, Patience);
        await using var load = new ConnectLoad(endPoint, Quit, 4, TimeSpan.Zero, TimeSpan.FromMilliseconds(2));
        var badExits = 0;
        for (var i = 0; i < attempts; i++)
        {
            var dies = i % 2 == 0;
            using var failing = HandoverProcess.Start(endPoint.Port, path, "--Fail", dies ? "exit" : "hang");
            await server.LoggedAsync($"Process {failing.Id} asked for the listening sockets");
            badExits += !dies || await failing.WaitForExitAsync() == ExitCode ? 0 : 1;
            await load.ServesMoreAsync(10);
        }

        using var successor = await HandoverProcess.StartAsync(endPoint.Port, path);
        badExits += await server.WaitForExitAsync() == 0 ? 0 : 1;
        await load.ServesMoreAsync(10);
        await load.StopAsync();
        string[] lines =
        [
            $"  successors that died: {(attempts + 1) / 2}, that hung: {attempts / 2}, unexpected exit codes: {badExits}",
            string.Create(
                CultureInfo.InvariantCulture,
                $"  connections: {load.Served} served, the worst in {load.Worst.TotalMilliseconds:0} ms, {load.Lost.Values.Sum()} lost"),
            .. load.Lost.Select(static lost => $"    {lost.Value}: {lost.Key}"),
        ];
        return (string.Join('\n', lines), badExits + load.Lost.Values.Sum());
    }
}
