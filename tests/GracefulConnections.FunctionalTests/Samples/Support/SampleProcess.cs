using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>A sample as its users run it: a process of its own, which hears of its end by SIGTERM. It never outlives the test.</summary>
internal sealed partial class SampleProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly StringBuilder _log = new();
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _reading;

    private SampleProcess(Process process)
    {
        _process = process;
        _reading = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
    }

    /// <summary>Gets everything that the sample printed so far.</summary>
    public string Log
    {
        get
        {
            lock (_log)
            {
                return _log.ToString();
            }
        }
    }

    /// <summary>Gets the ports that the sample listens on, in the order in which it configured them.</summary>
    public IReadOnlyList<int> Ports => [.. ListeningPort().Matches(Log).Select(match => int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture))];

    public int Id => _process.Id;

    /// <summary>Gets the only process that the process has started.</summary>
    public int ChildId => int.Parse(File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{Id}/task/{Id}/children")), NumberStyles.AllowTrailingWhite, CultureInfo.InvariantCulture);

    public bool HasExited => _process.HasExited;

    /// <summary>Starts a sample and does not wait for anything.</summary>
    /// <param name="name">Its folder in <c>samples</c>, and its assembly.</param>
    /// <param name="arguments">Its command line.</param>
    public static SampleProcess Start(string name, params IEnumerable<string> arguments) => Start(new ProcessStartInfo("dotnet", [FindAssembly("samples", name), .. arguments]));

    /// <summary>Starts a sample, and returns once it serves.</summary>
    public static Task<SampleProcess> StartAsync(string name, params IEnumerable<string> arguments) => StartedAsync(Start(name, arguments));

    /// <summary>Starts what is not a sample but ends like one, and returns once it serves.</summary>
    public static Task<SampleProcess> StartAsync(ProcessStartInfo start) => StartedAsync(Start(start));

    /// <summary>Returns the path of a program of this repository.</summary>
    public static string FindAssembly(string folder, string name)
    {
        // We are in tests/<project>/bin/<configuration>/<framework>; the program was built with us, and the same way.
        var framework = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        var configuration = framework.Parent!;
        var root = configuration.Parent!.Parent!.Parent!.Parent!.FullName;
        var assembly = Path.Combine(root, folder, name, "bin", configuration.Name, framework.Name, $"{name}.dll");
        Assert.True(File.Exists(assembly), $"{assembly} was not built.");
        return assembly;
    }

    /// <summary>Starts what is not a sample but ends like one, and does not wait for anything.</summary>
    public static SampleProcess Start(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        start.RedirectStandardError = true;
        if (OperatingSystem.IsLinux())
        {
            // A shell has its background jobs ignore SIGINT and SIGQUIT, and nohup has them ignore SIGHUP. Their children
            // inherit that, and .NET leaves a signal alone that was ignored before.
            start.ArgumentList.Insert(0, start.FileName);
            start.ArgumentList.Insert(0, "--default-signal=HUP,INT,QUIT");
            start.FileName = "env";
        }

        return new SampleProcess(Process.Start(start)!);
    }

    private static async Task<SampleProcess> StartedAsync(SampleProcess sample)
    {
        try
        {
            await sample._started.Task.InTimeAsync();
            return sample;
        }
        catch
        {
            await sample.DisposeAsync();
            throw;
        }
    }

    /// <summary>Connects a peer.</summary>
    /// <param name="port">The port on this machine.</param>
    /// <param name="configure">Changes the socket before it connects, its buffers for example.</param>
    public static async Task<ScriptedPeer> ConnectAsync(int port, Action<Socket>? configure = null)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        configure?.Invoke(socket);
        await socket.ConnectAsync(IPAddress.Loopback, port).InTimeAsync();
        return new ScriptedPeer(socket);
    }

    /// <summary>Waits until the sample has printed <paramref name="text"/>.</summary>
    public Task LogContainsAsync(string text) => Eventually.IsTrueAsync(() => Log.Contains(text, StringComparison.Ordinal));

    /// <summary>Asks the sample to end, as a service manager does, and does not wait for it.</summary>
    public void Terminate() => Signal.Terminate(_process);

    /// <summary>Asks the sample to end, as Ctrl+C does.</summary>
    public void Interrupt() => Signal.Interrupt(_process);

    /// <summary>Asks the sample to reload, as a service manager does.</summary>
    public void HangUp() => Signal.HangUp(_process);

    /// <summary>Waits until the process has ended, although a child of it may go on and hold its output.</summary>
    public Task ProcessExitsAsync() => _process.WaitForExitAsync().InTimeAsync();

    /// <summary>Asks the sample's process group to end, as Ctrl+C does on a terminal.</summary>
    public void InterruptGroup() => Signal.InterruptGroup(_process);

    /// <summary>Lets the sample stand still, as a paused machine does.</summary>
    public void Freeze() => Signal.Stop(_process);

    /// <summary>Lets the sample go on.</summary>
    public void Thaw() => Signal.Continue(_process);

    /// <summary>Waits until the sample has ended by itself.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> WaitForExitAsync()
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        try
        {
            await _process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"The sample did not end within {TestServer.TestLimit}:\n{Log}");
        }

        await _reading.InTimeAsync();
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        await _reading.InTimeAsync();
        TestContext.Current.TestOutputHelper?.WriteLine(Log); // Of use where the test fails, and shown only then.
        _process.Dispose();
    }

    [GeneratedRegex(@"Now listening on: \S+:(\d+)")]
    private static partial Regex ListeningPort();

    private async Task ReadAsync(StreamReader output)
    {
        while (await output.ReadLineAsync() is { } line)
        {
            lock (_log)
            {
                _log.AppendLine(line);
            }

            if (line.Contains("Application started.", StringComparison.Ordinal))
            {
                _started.TrySetResult();
            }
        }

        _started.TrySetException(new InvalidOperationException($"The sample ended before it served:\n{Log}"));
        _ = _started.Task.Exception; // Who only waits for the exit does not look at it.
    }
}
