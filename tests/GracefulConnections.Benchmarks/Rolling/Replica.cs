using System.Diagnostics;
using System.Globalization;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.TestSupport;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>One of the servers behind the load balancer, which can be restarted on its ports.</summary>
internal sealed class Replica(Variant variant, RollingPlan plan) : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private Process? _process;

    public int HttpPort { get; } = FreePort.Find();

    public int RawPort { get; } = FreePort.Find();

    /// <summary>Starts it, and returns once it listens.</summary>
    public async Task StartAsync()
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true, // It ends by that, if this process does.
            RedirectStandardOutput = true,
        };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(Replica).Assembly.Location);
        }

        string[] ports = [.. new[] { HttpPort, RawPort }.Select(static port => port.ToString(CultureInfo.InvariantCulture))];
        string[] arguments = [ReplicaRole.Command, $"{variant}", .. ports, .. ReplicaRole.Write(plan)];
        Array.ForEach(arguments, start.ArgumentList.Add);
        _process = Process.Start(start)!;
        if (await _process.StandardOutput.ReadLineAsync().WaitAsync(Limit) != ReplicaRole.ReadyLine)
        {
            throw new InvalidOperationException("A replica ended before it served.");
        }
    }

    /// <summary>Stops it as an orchestrator does, and returns once it is gone.</summary>
    public async Task StopAsync()
    {
        Signal.Terminate(_process!);
        await _process!.WaitForExitAsync().WaitAsync(Limit);
        _process.Dispose();
        _process = null;
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is { } process)
        {
            process.Kill();
            await process.WaitForExitAsync().WaitAsync(Limit);
            process.Dispose();
        }
    }
}
