using System.Net;
using System.Net.Sockets;
using GracefulConnections.Probe.Commands;
using GracefulConnections.Probe.Tests.Servers;

namespace GracefulConnections.Probe.Tests.Commands;

/// <summary>Bad input and bad servers: one clear line and the documented exit code.</summary>
public sealed class CommandTests
{
    [Theory]
    [InlineData("")]
    [InlineData("run")]
    [InlineData("run nonsense")]
    [InlineData("run 127.0.0.1")]
    [InlineData("run 127.0.0.1:0")]
    [InlineData("run 127.0.0.1:99999")]
    [InlineData("run 192.0.2.1:80")]
    [InlineData("run 127.0.0.1:1 --profile nonsense")]
    [InlineData("run 127.0.0.1:1 --profile custom")]
    [InlineData("run 127.0.0.1:1 --profile /no/such.json")]
    [InlineData(@"run 127.0.0.1:1 --send a\q")]
    [InlineData("run 127.0.0.1:1 --send @/no/such")]
    [InlineData("run 127.0.0.1:1 --expect /(/")]
    [InlineData("run 127.0.0.1:1 --only nonsense")]
    [InlineData("run 127.0.0.1:1 --fail-on E")]
    [InlineData("run 127.0.0.1:1 --connections 10001")]
    [InlineData("run 127.0.0.1:1 --connections many")]
    [InlineData("run 127.0.0.1:1 --patience 0")]
    [InlineData("run 127.0.0.1:1 --pid 0")]
    [InlineData("run 127.0.0.1:1 --pid 2147483647")]
    [InlineData("run 127.0.0.1:1 --tls --tls-version 1.1")]
    [InlineData("run 127.0.0.1:1 --tls --tls-ca /no/such.pem")]
    [InlineData("run 127.0.0.1:1 --nonsense")]
    [InlineData("--explain nonsense")]
    public async Task Run_BadCommandLine_IsOneLineAndExitCode2(string arguments) =>
        await AssertOneLineAsync(ExitCode.Usage, arguments);

    [Fact]
    public async Task Run_ClosedPort_IsOneLineAndExitCode3()
    {
        using var taken = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0)); // Bound and not listening: nobody else gets the port.

        await AssertOneLineAsync(ExitCode.Unreachable, $"run {taken.LocalEndPoint}");
    }

    [Theory]
    [InlineData("--profile resp")]
    [InlineData("--profile http")]
    [InlineData("--profile smtp --patience 1")]
    [InlineData("--profile line --expect pong --patience 1")]
    [InlineData("--profile line --tls --insecure --patience 2")] // The line server never answers half a TLS handshake.
    public async Task Run_WrongProfile_IsOneLineAndExitCode3(string arguments)
    {
        await using var server = new LineServer(ServerFault.None);

        await AssertOneLineAsync(ExitCode.Unreachable, $"run 127.0.0.1:{server.Port} {arguments}");
    }

    [Fact]
    public async Task Run_CertificateThatIsNotTrusted_IsOneLineAndExitCode3()
    {
        await using var server = new LineServer(ServerFault.None, tls: true);

        var line = await AssertOneLineAsync(ExitCode.Unreachable, $"run 127.0.0.1:{server.Port} --profile line --tls");

        Assert.Contains("--tls-ca", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Run_ServerDiesInTheMiddle_IsToldAndExitCodeIsNot0()
    {
        await using var server = new LineServer(ServerFault.DiesOfReset);

        var (exitCode, output, error) = await RunAsync(
            $"run 127.0.0.1:{server.Port} --profile line --only reset-in-the-middle,close-without-reading");

        Assert.Equal(ExitCode.Failed, exitCode);
        Assert.Contains("Grade: F", output, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", 1)]
    [InlineData("--fail-on D", 1)]
    [InlineData("--fail-on F", 0)]
    public async Task Run_GradeD_ExitCodeIsAsFailOnSays(string failOn, int expected)
    {
        await using var server = new LineServer(ServerFault.ClosesAtOnce);

        var (exitCode, output, _) = await RunAsync(
            $"run 127.0.0.1:{server.Port} --profile line --only reply-while-uploading {failOn}");

        Assert.Contains("Grade: D", output, StringComparison.Ordinal);
        Assert.Equal(expected, exitCode);
    }

    [Theory]
    [InlineData("", 0)]
    [InlineData("--fail-on skipped", 1)]
    public async Task Run_Skipped_ExitCodeIsAsFailOnSays(string failOn, int expected)
    {
        await using var server = new LineServer(ServerFault.None);

        var (exitCode, output, _) = await RunAsync(
            $"run 127.0.0.1:{server.Port} --profile echo --send x\\n --only half-close,1.1 {failOn}");

        Assert.Contains("Grade: A\n", output, StringComparison.Ordinal);
        Assert.Equal(expected, exitCode);
    }

    [Fact]
    public async Task Run_JsonToStandardOutput_IsNothingButJson()
    {
        await using var server = new LineServer(ServerFault.None);

        var (_, output, _) = await RunAsync($"run 127.0.0.1:{server.Port} --profile line --only half-request --json -");

        using var json = System.Text.Json.JsonDocument.Parse(output);
        Assert.Equal("A+", json.RootElement.GetProperty("grade").GetString());
    }

    [Fact]
    public async Task List_NoServer_NamesEveryScenario()
    {
        var (exitCode, output, _) = await RunAsync("--list");

        Assert.Equal(ExitCode.NothingFailed, exitCode);
        Assert.All(Scenarios.Catalog.Infos, info => Assert.Contains(info.Name, output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Explain_EveryScenario_SaysWhyAndWhere()
    {
        foreach (var info in Scenarios.Catalog.Infos)
        {
            var (exitCode, output, _) = await RunAsync($"--explain {info.Name}");

            Assert.Equal(ExitCode.NothingFailed, exitCode);
            Assert.Contains(info.Why, output, StringComparison.Ordinal);
            Assert.Contains("RFC ", output, StringComparison.Ordinal);
        }
    }

    private static async Task<string> AssertOneLineAsync(int expected, string arguments)
    {
        var (exitCode, output, error) = await RunAsync(arguments);

        Assert.Equal(expected, exitCode);
        Assert.Empty(output);
        Assert.Single(error.TrimEnd('\n').Split('\n'));
        return error;
    }

    private static async Task<(int ExitCode, string Output, string Error)> RunAsync(string arguments)
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        var run = ProbeCommand.RunAsync(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), output, TextWriter.Synchronized(error));
        var exitCode = await run.WaitAsync(TimeSpan.FromSeconds(120));
        return (exitCode, output.ToString(), error.ToString());
    }
}
