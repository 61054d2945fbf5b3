using System.Globalization;
using System.Text;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>Programs that talk to each other through the sample <c>samples/TcpProxy</c>, and notice nothing of it.</summary>
public sealed class TcpProxyProgramTests
{
    private static readonly string ProgramLimit = TestServer.TestLimit.TotalSeconds.ToString(CultureInfo.InvariantCulture); // socat waits half a second for the other direction by itself.
    private static readonly byte[] Request = [.. Reply.Bytes, .. Reply.Bytes];

    // The reply comes only after the end of the request, so the half-close has to get through, and the rest after it.
    [Theory]
    [InlineData("socat")]
    [InlineData("ncat")]
    public async Task Streams_ReplyAfterEof_ArriveWholeBothWays(string client)
    {
        using var directory = new TemporaryDirectory();
        await File.WriteAllBytesAsync(directory["reply"], Reply.Bytes, TestContext.Current.CancellationToken);
        await using var upstream = await UpstreamProgram.StartAsync(
            RequiredProgram.Find("socat", "socat"),
            port => ["-t", ProgramLimit, $"TCP-LISTEN:{port},bind=127.0.0.1", $"SYSTEM:cat > {directory["request"]}; cat {directory["reply"]}"]);
        await using var proxy = await TcpProxy.StartInFrontOfAsync(upstream.Port);

        Assert.Equal(Reply.Bytes, await ExchangeAsync(client, proxy.Port, Request));
        Assert.Equal(Request, await File.ReadAllBytesAsync(directory["request"], TestContext.Current.CancellationToken));
    }

    // It ends with the end of its input, or of its program's output, whichever comes first: so one way at a time.
    [Theory]
    [InlineData("socat")]
    [InlineData("ncat")]
    public async Task Streams_NcatListens_ArriveWholeEachWay(string client)
    {
        using var directory = new TemporaryDirectory();
        var ncat = RequiredProgram.Find("ncat", "ncat");
        await File.WriteAllBytesAsync(directory["reply"], Reply.Bytes, TestContext.Current.CancellationToken);
        await using (var receiver = await UpstreamProgram.StartAsync(ncat, port => ["-l", "127.0.0.1", $"{port}", "--sh-exec", $"cat > {directory["request"]}"]))
        await using (var proxy = await TcpProxy.StartInFrontOfAsync(receiver.Port))
        {
            Assert.Empty(await ExchangeAsync(client, proxy.Port, Request));
            await Eventually.IsTrueAsync(() => new FileInfo(directory["request"]).Length == Request.Length); // The last to end is the program behind ncat.
            Assert.Equal(Request, await File.ReadAllBytesAsync(directory["request"], TestContext.Current.CancellationToken));
        }

        await using (var sender = await UpstreamProgram.StartAsync(ncat, port => ["-l", "127.0.0.1", $"{port}", "--sh-exec", $"cat {directory["reply"]}"]))
        await using (var proxy = await TcpProxy.StartInFrontOfAsync(sender.Port))
        {
            await using var program = Start(client, proxy.Port);
            Assert.Equal(Reply.Bytes, await program.ReadOutputAsync(Reply.Length));
            await program.CloseInputAsync();
            Assert.Equal((0, ""), await program.WaitForExitAsync());
        }
    }

    [Fact]
    public async Task Rsync_PushAndPull_TreesAreEqual()
    {
        var rsync = RequiredProgram.Find("rsync", "rsync");
        using var directory = new TemporaryDirectory();
        directory.CreateTree("pushed", seed: 1);
        Directory.CreateDirectory(directory["module"]);
        await File.WriteAllTextAsync(
            directory["rsyncd.conf"],
            $"""
            use chroot = no
            uid = {Environment.UserName}
            gid = *
            [module]
            path = {directory["module"]}
            read only = no
            """,
            TestContext.Current.CancellationToken);
        await using var upstream = await UpstreamProgram.StartAsync(
            rsync, port => ["--daemon", "--no-detach", "--address=127.0.0.1", $"--port={port}", $"--config={directory["rsyncd.conf"]}", "--log-file=/dev/null"]);
        await using var proxy = await TcpProxy.StartInFrontOfAsync(upstream.Port);
        var module = $"rsync://127.0.0.1:{proxy.Port}/module/";

        await RunAsync(rsync, "--archive", $"{directory["pushed"]}/", module);
        await RunAsync(rsync, "--archive", module, $"{directory["pulled"]}/");

        var tree = directory.ReadTree("pushed");
        Assert.NotEmpty(tree);
        Assert.Equal(tree, directory.ReadTree("module"));
        Assert.Equal(tree, directory.ReadTree("pulled"));
    }

    [Fact]
    public async Task Git_CloneAndPush_TreesAreEqual()
    {
        var git = RequiredProgram.Find("git", "git");
        using var directory = new TemporaryDirectory();
        await RunAsync(git, "init", "--quiet", "--bare", "--initial-branch=main", directory["served", "repository"]);
        await using var upstream = await UpstreamProgram.StartAsync(
            git, port => ["daemon", "--listen=127.0.0.1", $"--port={port}", $"--base-path={directory["served"]}", "--export-all", "--enable=receive-pack"]);
        await using var proxy = await TcpProxy.StartInFrontOfAsync(upstream.Port);
        var url = $"git://127.0.0.1:{proxy.Port}/repository";

        directory.CreateTree("pushed", seed: 2);
        await RunAsync(git, "init", "--quiet", "--initial-branch=main", directory["pushed"]);
        await RunAsync(git, "-C", directory["pushed"], "add", ".");
        await RunAsync(git, "-C", directory["pushed"], "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "--quiet", "--message", "All");
        await RunAsync(git, "-C", directory["pushed"], "push", "--quiet", url, "main");
        await RunAsync(git, "clone", "--quiet", url, directory["cloned"]);

        var tree = directory.ReadTree("pushed");
        Assert.NotEmpty(tree);
        Assert.Equal(tree, directory.ReadTree("cloned"));
    }

    [Fact]
    public async Task RedisTools_AgainstTheRespServer_Work()
    {
        await using var server = await RespServer.StartAsync();
        await using var proxy = await TcpProxy.StartInFrontOfAsync(server.RespPort);
        var port = proxy.Port.ToString(CultureInfo.InvariantCulture);
        var cli = RequiredProgram.Find("redis-cli", "redis-tools");

        Assert.Equal("OK\n", await RunAsync(cli, "-p", port, "set", "greeting", "hello"));
        Assert.Equal("hello\n", await RunAsync(cli, "-p", port, "get", "greeting"));
        var benchmark = await RunAsync(
            RequiredProgram.Find("redis-benchmark", "redis-tools"), "-p", port, "-t", "ping,set,get", "-n", "5000", "-c", "20", "-P", "8", "-q");
        Assert.Equal(4, benchmark.Split("requests per second").Length - 1);
    }

    private static async Task<byte[]> ExchangeAsync(string client, int port, byte[] request)
    {
        await using var program = Start(client, port);
        var output = program.ReadOutputAsync();
        await program.WriteInputAsync(request);
        await program.CloseInputAsync();
        var reply = await output;
        Assert.Equal((0, ""), await program.WaitForExitAsync());
        return reply;
    }

    private static ChildProcess Start(string client, int port) => ChildProcess.Start(
        RequiredProgram.Find(client, client), client == "socat" ? ["-t", ProgramLimit, "STDIO", $"TCP:127.0.0.1:{port}"] : ["127.0.0.1", $"{port}"]);

    private static async Task<string> RunAsync(string path, params string[] arguments)
    {
        await using var program = ChildProcess.Start(path, arguments);
        var output = Encoding.Latin1.GetString(await program.ReadOutputAsync());
        Assert.Equal((0, ""), await program.WaitForExitAsync());
        return output;
    }
}
