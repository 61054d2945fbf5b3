using System.Globalization;
using System.Text;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>Redis's own programs against the sample.</summary>
public sealed class RedisToolsTests(RespServer server) : IClassFixture<RespServer>
{
    private const string Package = "redis-tools";

    [Theory]
    [InlineData("PONG\n", "ping")]
    [InlineData("OK\n", "set", "greeting", "hello world", "EX", "100")]
    [InlineData("3\n", "append", "appended", "abc")]
    [InlineData("1\n", "incr", "counted")]
    [InlineData("ERR wrong number of arguments for 'get' command\n\n", "get")]
    [InlineData("NOPROTO unsupported protocol version\n\n", "hello", "3")]
    [InlineData("OK\n", "debug", "sleep", "0.01")]
    [InlineData("OK\n", "quit")]
    public async Task Cli_Command_PrintsTheReply(string output, params string[] words) => Assert.Equal(output, await CliAsync(words));

    [Fact]
    public async Task Cli_SetThenRead_FindsTheValue()
    {
        Assert.Equal("OK\n", await CliAsync("mset", "cli:1", "one", "cli:2", "two"));
        Assert.Equal("one\n\ntwo\n", await CliAsync("mget", "cli:1", "cli:3", "cli:2"));
        Assert.Equal(["cli:1", "cli:2"], (await CliAsync("keys", "cli:*")).Split('\n', StringSplitOptions.RemoveEmptyEntries).Order());
        Assert.Contains("connected_clients:", await CliAsync("info"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Cli_Pipe_GetsEveryReply()
    {
        const int Count = 10_000;
        await using var cli = ChildProcess.Start(RequiredProgram.Find("redis-cli", Package), "-p", Text(server.RespPort), "--pipe");
        for (var i = 0; i < Count; i += 1000)
        {
            await cli.WriteInputAsync(Encoding.Latin1.GetBytes(string.Concat(Enumerable.Range(i, 1000).Select(n => RespServer.Command("SET", $"pipe:{n}", Text(n))))));
        }

        await cli.CloseInputAsync();
        Assert.EndsWith($"errors: 0, replies: {Count}\n", Encoding.Latin1.GetString(await cli.ReadOutputAsync()), StringComparison.Ordinal);
        Assert.Equal((0, ""), await cli.WaitForExitAsync());
    }

    [Fact]
    public async Task Benchmark_AllItsCommands_Succeed()
    {
        await using var benchmark = ChildProcess.Start(
            RequiredProgram.Find("redis-benchmark", Package), "-p", Text(server.RespPort), "-t", "ping,set,get,incr,mset", "-n", "2000", "-c", "20", "-P", "8", "-q");

        var output = Encoding.Latin1.GetString(await benchmark.ReadOutputAsync());

        // PING has two rows: as a line and as an array.
        Assert.Equal(6, output.Split("requests per second").Length - 1);
        Assert.Equal((0, ""), await benchmark.WaitForExitAsync());
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private async Task<string> CliAsync(params string[] words)
    {
        await using var cli = ChildProcess.Start(RequiredProgram.Find("redis-cli", Package), ["-p", Text(server.RespPort), .. words]);
        var output = Encoding.Latin1.GetString(await cli.ReadOutputAsync());
        var (_, errors) = await cli.WaitForExitAsync();
        Assert.Equal("", errors);
        return output;
    }
}
