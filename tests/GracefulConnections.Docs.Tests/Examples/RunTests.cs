using System.Net;

namespace GracefulConnections.Docs.Tests.Examples;

/// <summary>Programs of the documentation do what the pages say.</summary>
public class RunTests
{
    private const int RawPort = 5000;
    private const int HttpPort = 8080;

    [Fact]
    public async Task Readme_Server_EchoesAndIsReadyUntilSigtermAndServesOnWhileAnnounced()
    {
        var (program, ports) = await RunningExample.StartAsync(FindProgram("README.md"), RawPort, HttpPort);
        await using var _ = program;
        using var http = new HttpClient();
        var ready = $"http://127.0.0.1:{ports[HttpPort]}/ready";

        Assert.Equal("hello", await RunningExample.AskAsync(ports[RawPort], "hello"));
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(ready)).StatusCode);

        await program.RequestStopAsync();
        await program.WaitForLineAsync("The drain was announced");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync(ready)).StatusCode);
        Assert.Equal("hello", await RunningExample.AskAsync(ports[RawPort], "hello"));
        Assert.Equal(0, await program.WaitForExitAsync());
    }

    [Fact]
    public async Task GettingStarted_Server_AnswersLinesAndStops()
    {
        var (program, ports) = await RunningExample.StartAsync(FindProgram("src/docs/getting-started.md"), RawPort, HttpPort);
        await using var _ = program;

        Assert.Equal("you said: hello\n", await RunningExample.AskAsync(ports[RawPort], "hello\n"));
        await program.RequestStopAsync();
        Assert.Equal(0, await program.WaitForExitAsync());
    }

    [Theory]
    [InlineData("src/docs/handlers.md", "using (close.BeginMessage())", "ServeAsync", "hello")]
    [InlineData("src/docs/troubleshooting.md", "asked to close", "ServeAsync", "hello")]
    public async Task Handler_OfAPage_Echoes(string page, string mark, string handler, string text)
    {
        var code = Serve($"endpoint.UseGracefulShutdown().Run({handler})", FindBlock(page, mark));
        var (program, ports) = await RunningExample.StartAsync(code, RawPort);
        await using var _ = program;

        Assert.Equal(text, await RunningExample.AskAsync(ports[RawPort], text));
        await program.RequestStopAsync();
        Assert.Equal(0, await program.WaitForExitAsync());
    }

    [Fact]
    public async Task Ticker_AtAStop_SaysGoodbye()
    {
        var code = Serve("endpoint.UseGracefulShutdown().UseConnectionHandler<Ticker>()", FindBlock("src/docs/handlers.md", "class Ticker"));
        var (program, ports) = await RunningExample.StartAsync(code, RawPort);
        await using var _ = program;

        var asking = RunningExample.AskAsync(ports[RawPort], "");
        await program.WaitForLineAsync("the peer is there");
        await program.RequestStopAsync();
        Assert.EndsWith("bye\r\n", await asking);
        Assert.Equal(0, await program.WaitForExitAsync());
    }

    [Fact]
    public async Task ProxyHeader_IsConsumed_AndTheRestIsServed()
    {
        var chain = FindBlock("src/docs/middleware.md", "PROXY TCP4").Replace(
            "endpoint.UseConnectionHandler<MyHandler>();",
            """
            endpoint.Run(async connection =>
            {
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes($"{connection.RemoteEndPoint} "));
                await connection.Transport.Input.CopyToAsync(connection.Transport.Output);
            });
            """,
            StringComparison.Ordinal);
        var (program, ports) = await RunningExample.StartAsync(Serve($"Use(endpoint)", $"void Use(ListenOptions endpoint) {{ {chain} }}"), RawPort);
        await using var _ = program;

        Assert.Equal("1.2.3.4:567 hello", await RunningExample.AskAsync(ports[RawPort], "PROXY TCP4 1.2.3.4 5.6.7.8 567 80\r\nhello"));
    }

    [Fact]
    public async Task RequestClose_InsideOfARequest_EndsTheConnectionBehindTheAnswer()
    {
        var code = $"""
            var builder = WebApplication.CreateSlimBuilder(args);
            builder.WebHost.ConfigureKestrel(kestrel =>
                kestrel.Listen(IPAddress.Loopback, {HttpPort}, endpoint => endpoint.UseGracefulShutdown()));
            var app = builder.Build();
            {FindBlock("src/docs/http.md", "RequestClose()")}
            app.Run();
            """;
        var (program, ports) = await RunningExample.StartAsync(code, HttpPort);
        await using var _ = program;
        using var http = new HttpClient();

        using var answer = await http.GetAsync($"http://127.0.0.1:{ports[HttpPort]}/leave");
        Assert.Equal("bye", await answer.Content.ReadAsStringAsync());
        Assert.True(answer.Headers.ConnectionClose);
    }

    private static string FindProgram(string page) => FindBlock(page, "app.Run();");

    private static string FindBlock(string page, string mark) =>
        Repository.Find(page).Code.First(block => block.Language == "csharp" && block.Text.Contains(mark, StringComparison.Ordinal)).Text;

    // Statements come before types in a program.
    private static string Serve(string chain, string code) => $$"""
        var builder = WebApplication.CreateSlimBuilder(args);
        builder.Services.AddGracefulShutdown();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, {{RawPort}}, endpoint =>
        {
            endpoint.Use(next => connection =>
            {
                Console.WriteLine("the peer is there");
                return next(connection);
            });
            {{chain}};
        }));
        builder.Build().Run();

        {{code}}
        """;
}
