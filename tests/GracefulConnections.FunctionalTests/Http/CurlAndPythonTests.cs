using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>
/// Kestrel's HTTP on an endpoint with <c>UseGracefulShutdown()</c>: it must work as before, and no longer lose what it answers early. The outcome is only looked at where
/// the server ends the connection: at a client's FIN, Kestrel's HTTP itself may call <c>ConnectionContext.Abort()</c>, which is a FIN on the wire and <c>Aborted</c> here.
/// </summary>
public class CurlAndPythonTests
{
    private const string IdleClient = """
        import http.client, sys

        connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]))
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        print(response.status, flush=True)
        print(len(connection.sock.recv(1)), flush=True)
        connection.close()
        sys.stdin.read()
        """;

    [Fact]
    public async Task KeepAlive_CurlAsksTwice_OneConnectionServesBoth()
    {
        await using var server = await HttpServer.StartAsync(SendReplyAsync);
        await using var client = StartCurl("--output", "/dev/null", "--output", "/dev/null", "--write-out", "%{http_code} %{size_download} %{num_connects}\n", Url(server), Url(server));

        Assert.Equal($"200 {Reply.Length} 1", await client.ReadLineAsync());
        Assert.Equal($"200 {Reply.Length} 0", await client.ReadLineAsync());
        Assert.Equal((0, ""), await client.WaitForExitAsync());
        await server.NextResultAsync();
    }

    [Theory]
    [InlineData("--header", "Connection: close")]
    [InlineData("--http1.0")]
    public async Task ConnectionClose_Curl_ReadsTheWholeAnswer(params string[] arguments)
    {
        await using var server = await HttpServer.StartAsync(SendReplyAsync);
        await using var client = StartCurl([.. arguments, Url(server)]);

        Assert.Equal(Reply.Bytes, await client.ReadOutputAsync());
        Assert.Equal((0, ""), await client.WaitForExitAsync());
        await server.NextResultAsync();
    }

    [Fact]
    public async Task Http2_Curl_ReadsTheWholeAnswer()
    {
        await using var server = await HttpServer.StartAsync(SendReplyAsync, protocols: HttpProtocols.Http2);
        await using var client = StartCurl("--http2-prior-knowledge", Url(server));

        Assert.Equal(Reply.Bytes, await client.ReadOutputAsync());
        Assert.Equal((0, ""), await client.WaitForExitAsync());
        await server.NextResultAsync();
    }

    [Fact]
    public async Task HostStop_IdleKeepAliveConnection_EndsWithoutAnyTimeout()
    {
        await using var server = await HttpServer.StartAsync(SendReplyAsync);
        await using var client = StartPython(IdleClient, $"{server.Port}");
        Assert.Equal("200", await client.ReadLineAsync());

        await server.StopAsync();

        Assert.Equal("0", await client.ReadLineAsync());
        var result = await server.NextResultAsync();
        Assert.Equal((CloseReason.HostStopping, CloseOutcome.Graceful), (result.Reason, result.Outcome)); // Any timeout would show here.
        await client.CloseInputAsync();
        Assert.Equal((0, ""), await client.WaitForExitAsync());
    }

    private static string Url(TestServer server) => $"http://127.0.0.1:{server.Port}/";

    private static ChildProcess StartPython(string script, params IEnumerable<string> arguments) =>
        ChildProcess.Start(RequiredProgram.Find("python3", "python3"), ["-c", script, .. arguments]);

    private static ChildProcess StartCurl(params IEnumerable<string> arguments) =>
        ChildProcess.Start(RequiredProgram.Find("curl", "curl"), ["--silent", "--show-error", "--no-buffer", .. arguments]);

    private static async Task SendReplyAsync(HttpContext context) => await context.Response.Body.WriteAsync(Reply.Bytes, context.RequestAborted);
}
