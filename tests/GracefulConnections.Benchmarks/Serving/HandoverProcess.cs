using System.Diagnostics;
using System.Threading.Channels;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>One of the processes that hand a listening socket over: the tests' program for that.</summary>
internal sealed class HandoverProcess : IDisposable
{
    private const string Assembly = "GracefulConnections.HandoverServer";

    // A build of the program that starts faster, for example one that was published with PublishAot.
    private const string ProgramVariable = "HANDOVER_SERVER";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Channel<string> _lines = Channel.CreateUnbounded<string>();
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private HandoverProcess(Process process) => _process = process;

    public int Id => _process.Id;

    /// <summary>Starts one, and returns once it has started.</summary>
    public static async Task<HandoverProcess> StartAsync(int port, string path, params IEnumerable<string> more)
    {
        var process = Start(port, path, more);
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

    /// <summary>Starts one, and waits for nothing.</summary>
    public static HandoverProcess Start(int port, string path, params IEnumerable<string> more)
    {
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var configuration = framework.Parent!;
        var tests = configuration.Parent!.Parent!.Parent!.FullName;
        var assembly = Path.Combine(tests, Assembly, "bin", configuration.Name, framework.Name, $"{Assembly}.dll");
        var program = Environment.GetEnvironmentVariable(ProgramVariable);
        string[] command = program is null ? ["dotnet", assembly] : [program];
        var start = new ProcessStartInfo(command[0], [.. command[1..], "--Endpoints", $"tcp:{port}", "--Handover:SocketPath", path, .. more])
        {
            RedirectStandardOutput = true,
            Environment = { ["DOTNET_TieredPGO"] = "0" }, // Less to compile in a process that lives for a second.
        };
        var process = new HandoverProcess(Process.Start(start)!);
        _ = process.ReadAsync();
        return process;
    }

    /// <summary>Waits until it has logged a text.</summary>
    public async Task LoggedAsync(string text)
    {
        using var limit = new CancellationTokenSource(Limit);
        while (await _lines.Reader.WaitToReadAsync(limit.Token))
        {
            while (_lines.Reader.TryRead(out var line))
            {
                if (line.Contains(text, StringComparison.Ordinal))
                {
                    return;
                }
            }
        }

        throw new InvalidOperationException($"{Assembly} ended before it logged \"{text}\".");
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
            _lines.Writer.TryWrite(line);
            if (line.Contains("Application started.", StringComparison.Ordinal))
            {
                _started.TrySetResult();
            }
        }

        _lines.Writer.Complete();
        _started.TrySetException(new InvalidOperationException($"{Assembly} ended before it served."));
        _ = _started.Task.Exception; // Who waits only for the exit does not look at it.
    }
}
