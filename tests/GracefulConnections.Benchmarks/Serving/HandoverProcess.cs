using System.Diagnostics;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>One of the processes that hand a listening socket over: the tests' program for that.</summary>
internal sealed class HandoverProcess : IDisposable
{
    private const string Assembly = "GracefulConnections.HandoverServer";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private HandoverProcess(Process process) => _process = process;

    /// <summary>Starts one, and returns once it has started.</summary>
    public static async Task<HandoverProcess> StartAsync(int port, string path)
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var configuration = framework.Parent!;
        var tests = configuration.Parent!.Parent!.Parent!.FullName;
        var assembly = Path.Combine(tests, Assembly, "bin", configuration.Name, framework.Name, $"{Assembly}.dll");
        var start = new ProcessStartInfo("dotnet", [assembly, "--Endpoints", $"tcp:{port}", "--Handover:SocketPath", path])
        {
            RedirectStandardOutput = true,
            Environment = { ["DOTNET_TieredPGO"] = "0" }, // Less to compile in a process that lives for a second.
        };
        var process = new HandoverProcess(Process.Start(start)!);
        _ = process.ReadAsync();
        try
        {
            await process._started.Task.WaitAsync(Limit);
            return process;
        }
        catch
        {
            process.Dispose();
            throw;
        }
    }

    /// <summary>Waits until it has ended by itself.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> WaitForExitAsync()
    {
        await _process.WaitForExitAsync().WaitAsync(Limit);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private async Task ReadAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line.Contains("Application started.", StringComparison.Ordinal))
            {
                _started.TrySetResult();
            }
        }

        _started.TrySetException(new InvalidOperationException($"{Assembly} ended before it served."));
    }
}
