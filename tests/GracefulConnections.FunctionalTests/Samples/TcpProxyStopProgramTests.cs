using System.Text;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>Programs that are in the middle of something when the sample <c>samples/TcpProxy</c> between them is asked to end.</summary>
[Collection(SerialTests.Name)]
public sealed class TcpProxyStopProgramTests
{
    [Theory]
    [InlineData("memcached")]
    [InlineData("mosquitto")]
    [InlineData("swaks")]
    [InlineData("WebSocket")]
    [InlineData("rsync")]
    [InlineData("git")]
    [InlineData("redis-benchmark")]
    public async Task Stop_InTheMiddleOfAProgram_ItFinishes(string program)
    {
        const int Missing = 77;
        var proxy = SampleProcess.FindAssembly("samples", "TcpProxy");
        var root = proxy[..proxy.IndexOf("/samples/", StringComparison.Ordinal)];
        await using var script = ChildProcess.Start(
            RequiredProgram.Find("python3", "python3"),
            [
                Path.Combine(root, "tests", "relay-programs.py"), "--only", program, "--relays", "TcpProxy", "--stop-only", "--short",
                "--configuration", proxy.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug",
            ]);

        var output = Encoding.UTF8.GetString(await script.ReadOutputAsync());
        var (exitCode, errors) = await script.WaitForExitAsync();
        if (exitCode == Missing)
        {
            RequiredProgram.SkipOrFail(output);
        }

        Assert.True(exitCode == 0, output + errors);
    }
}
