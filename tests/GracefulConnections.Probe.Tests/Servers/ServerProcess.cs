using System.Diagnostics;
using System.Globalization;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.Probe.Tests.Servers;

/// <summary>A server of these tests in another language. It prints its port when it listens.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);
    private static readonly Lazy<Task<string>> CompiledServer = new(CompileAsync);

    private readonly Process _process;

    private ServerProcess(Process process, int port)
    {
        _process = process;
        Port = port;
    }

    /// <summary>Gets where Python 3 is. Skips the test where it is missing.</summary>
    public static string Python => RequiredProgram.Find("python3", "python3");

    public static string PythonScript { get; } = Path.Combine(AppContext.BaseDirectory, "Servers", "line_server.py");

    public int Port { get; }

    public int Pid => _process.Id;

    /// <summary>Starts the server in Python 3. Skips the test where Python is missing.</summary>
    public static Task<ServerProcess> StartPythonAsync(string fault) => StartAsync(Python, PythonScript, fault);

    /// <summary>Starts the server in Python 3 with TLS and the test's certificate. Skips the test where Python is missing.</summary>
    public static async Task<ServerProcess> StartPythonTlsAsync(string fault)
    {
        var pem = TestCertificate.WriteServerPem();
        try
        {
            return await StartAsync(Python, PythonScript, fault, "0", "127.0.0.1", pem);
        }
        finally
        {
            File.Delete(pem); // It has listened since it read the file.
        }
    }

    /// <summary>Compiles and starts the server in C. Skips the test where gcc is missing.</summary>
    public static async Task<ServerProcess> StartCAsync(string fault)
    {
        RequiredProgram.Find("gcc", "gcc libc6-dev");
        return await StartAsync(await CompiledServer.Value, fault);
    }

    public static async Task<ServerProcess> StartAsync(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true };
        var process = Process.Start(start)!;
        var line = await process.StandardOutput.ReadLineAsync().WaitAsync(StartLimit);
        return new ServerProcess(process, int.Parse(line!, CultureInfo.InvariantCulture));
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill(entireProcessTree: true);
        }

        await _process.WaitForExitAsync().WaitAsync(StartLimit);
        _process.Dispose();
    }

    private static async Task<string> CompileAsync()
    {
        var program = Path.Combine(AppContext.BaseDirectory, "line_server");
        var source = Path.Combine(AppContext.BaseDirectory, "Servers", "line_server.c");
        string[] arguments = ["-O1", "-Wall", "-Werror", "-o", program, source];
        using var gcc = Process.Start(new ProcessStartInfo(RequiredProgram.Find("gcc", "gcc libc6-dev"), arguments))!;
        await gcc.WaitForExitAsync().WaitAsync(StartLimit);
        Assert.Equal(0, gcc.ExitCode);
        return program;
    }
}
