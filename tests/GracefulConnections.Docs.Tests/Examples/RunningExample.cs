using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace GracefulConnections.Docs.Tests.Examples;

/// <summary>A program of the documentation that runs in a process of its own.</summary>
internal sealed class RunningExample : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly DirectoryInfo _folder;
    private readonly Task<string> _errors;
    private readonly List<string> _lines = [];

    private RunningExample(Process process, DirectoryInfo folder)
    {
        _process = process;
        _folder = folder;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Compiles the program, with other ports in it, and starts it.</summary>
    /// <param name="code">The program.</param>
    /// <param name="ports">The ports that stand in it, which become free ones.</param>
    public static async Task<(RunningExample Program, Dictionary<int, int> Ports)> StartAsync(string code, params int[] ports)
    {
        var free = ports.Zip(FreePorts(ports.Length)).ToDictionary();
        foreach (var (port, other) in free)
        {
            Assert.Contains($"{port}", code, StringComparison.Ordinal);
            code = code.Replace($"{port}", $"{other}", StringComparison.Ordinal);
        }

        var folder = Directory.CreateTempSubdirectory("example");
        var path = Path.Combine(folder.FullName, "Example.dll");
        var emitted = Example.Compile(code).Emit(path);
        Assert.True(emitted.Success, string.Join(Environment.NewLine, emitted.Diagnostics));
        var start = new ProcessStartInfo("dotnet")
        {
            WorkingDirectory = folder.FullName,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };

        // This project's own files name the frameworks and where the library is.
        start.ArgumentList.Add("exec");
        foreach (var (option, file) in new[] { ("--depsfile", "deps.json"), ("--runtimeconfig", "runtimeconfig.json") })
        {
            start.ArgumentList.Add(option);
            start.ArgumentList.Add(Path.Combine(AppContext.BaseDirectory, $"GracefulConnections.Docs.Tests.{file}"));
        }

        foreach (var library in Directory.EnumerateFiles(AppContext.BaseDirectory, "*.dll"))
        {
            File.CreateSymbolicLink(Path.Combine(folder.FullName, Path.GetFileName(library)), library);
        }

        start.ArgumentList.Add(path);
        var program = new RunningExample(Process.Start(start)!, folder);
        await program.WaitForLineAsync("Application started");
        return (program, free);
    }

    /// <summary>Reads what it prints until a line has this text.</summary>
    public async Task WaitForLineAsync(string text)
    {
        while (await _process.StandardOutput.ReadLineAsync().WaitAsync(Limit) is { } line)
        {
            _lines.Add(line);
            if (line.Contains(text, StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail($"\"{text}\" did not come:{Environment.NewLine}{string.Join('\n', _lines)}{await _errors.WaitAsync(Limit)}");
    }

    /// <summary>Sends bytes, half-closes, and reads to the end.</summary>
    public static async Task<string> AskAsync(int port, string text)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, port).WaitAsync(Limit);
        await using var stream = client.GetStream();
        await stream.WriteAsync(System.Text.Encoding.UTF8.GetBytes(text)).AsTask().WaitAsync(Limit);
        client.Client.Shutdown(SocketShutdown.Send);
        return await new StreamReader(stream).ReadToEndAsync().WaitAsync(Limit);
    }

    /// <summary>Sends SIGTERM.</summary>
    public async Task RequestStopAsync()
    {
        using var kill = Process.Start("kill", [$"{_process.Id}"]);
        await kill.WaitForExitAsync().WaitAsync(Limit);
        Assert.Equal(0, kill.ExitCode);
    }

    /// <summary>Waits for the end.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> WaitForExitAsync()
    {
        await _process.StandardOutput.ReadToEndAsync().WaitAsync(Limit);
        await _process.WaitForExitAsync().WaitAsync(Limit);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync().WaitAsync(Limit);
        }

        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    private static List<int> FreePorts(int count)
    {
        var listeners = Enumerable.Range(0, count).Select(static _ => new TcpListener(IPAddress.Loopback, 0)).ToList();
        listeners.ForEach(static listener => listener.Start());
        var ports = listeners.Select(static listener => ((IPEndPoint)listener.LocalEndpoint).Port).ToList();
        listeners.ForEach(static listener => listener.Stop());
        return ports;
    }
}
