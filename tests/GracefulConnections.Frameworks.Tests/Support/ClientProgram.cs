using System.Diagnostics;

namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>A program of another project, as a client.</summary>
internal sealed class ClientProgram : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string> _output;

    public ClientProgram(string name, params string[] arguments)
    {
        _process = Process.Start(new ProcessStartInfo(name, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        _output = _process.StandardOutput.ReadToEndAsync();
    }

    public StreamWriter Input => _process.StandardInput;

    /// <summary>Skips the test where the program is missing, or fails where nothing may be skipped.</summary>
    public static void Require(string name, string package)
    {
        var isThere = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, name)));
        var reason = $"{name} is not installed. Install the Debian package {package}.";
        Assert.True(isThere || Environment.GetEnvironmentVariable("GRACEFUL_REQUIRE_PROGRAMS") is null, reason);
        Assert.SkipUnless(isThere, reason);
    }

    /// <summary>Asks it to end, and reads everything that it printed.</summary>
    public async Task<string> EndAsync()
    {
        if (!_process.HasExited)
        {
            using var kill = Process.Start("kill", [$"{_process.Id}"]);
            await kill.WaitForExitAsync().WaitAsync(Waiting.Limit);
        }

        return await _output.WaitAsync(Waiting.Limit);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync().WaitAsync(Waiting.Limit);
        }

        _process.Dispose();
    }
}
