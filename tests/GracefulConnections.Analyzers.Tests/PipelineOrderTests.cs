using GracefulConnections.Analyzers.Tests.Support;
using GracefulConnections.CodeFixes;

namespace GracefulConnections.Analyzers.Tests;

public class PipelineOrderTests
{
    [Theory]
    [InlineData("endpoint.Run(Serve).[|UseGracefulShutdown|]();", "Run")]
    [InlineData("endpoint.UseConnectionLogging().Run(Serve).[|UseGracefulShutdown|]();", "Run")]
    [InlineData("endpoint.UseConnectionHandler<Handler>().[|UseGracefulShutdown|]();", "UseConnectionHandler")]
    [InlineData("endpoint.Run(Serve); endpoint.[|UseGracefulShutdown|]();", "Run")]
    [InlineData("endpoint.UseHttps().Run(Serve); endpoint.[|UseGracefulShutdown|](options => { });", "Run")]
    [InlineData("IConnectionBuilder builder = endpoint; builder.Run(Serve); builder.[|UseGracefulShutdown|]();", "Run")]
    [InlineData("var one = other; one = endpoint; one.Run(Serve); one.[|UseGracefulShutdown|]();", "Run")]
    public async Task BehindTheEnd_IsFlagged(string calls, string terminal)
    {
        var marked = Program(calls);

        await Analysis.AssertFlagsAsync("GRACE001", marked);

        var found = Assert.Single(await Analysis.GetAsync([Analysis.Unmark(marked).Source]));
        Assert.Contains($"Move it in front of '{terminal}'.", found.GetMessage(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("endpoint.UseGracefulShutdown().Run(Serve);")]
    [InlineData("endpoint.UseGracefulShutdown(); endpoint.Run(Serve);")]
    [InlineData("endpoint.UseHttps().UseGracefulShutdown().UseConnectionHandler<Handler>();")]
    [InlineData("endpoint.UseHttps(); endpoint.UseGracefulShutdown(); endpoint.UseConnectionLogging(); endpoint.Run(Serve);")]
    [InlineData("endpoint.UseGracefulShutdown();")] // HTTP follows.
    [InlineData("if (Environment.ProcessId > 0) { endpoint.UseGracefulShutdown(); } endpoint.Run(Serve);")]
    [InlineData("other.Run(Serve); endpoint.UseGracefulShutdown().Run(Serve);")] // Another endpoint's end.
    [InlineData("var one = endpoint; one.Run(Serve); one = other; one.UseGracefulShutdown().Run(Serve);")]
    [InlineData("var one = endpoint; one.Run(Serve); Next(ref one); one.UseGracefulShutdown().Run(Serve);")]
    [InlineData("kestrel.Open(9).Run(Serve); kestrel.Open(10).UseGracefulShutdown();")] // Each call is an endpoint.
    public async Task InFront_IsNotFlagged(string calls) => await Analysis.AssertSilentAsync(Program(calls));

    [Fact]
    public async Task MethodOfThatNameOfSomebodyElse_IsNotFlagged() => await Analysis.AssertSilentAsync(
        """
        using Other;
        new Builder().Run().UseGracefulShutdown();

        namespace Other
        {
            class Builder
            {
                public Builder Run() => this;
                public Builder UseGracefulShutdown() => this;
            }
        }
        """);

    [Theory]
    [InlineData(
        "endpoint.UseConnectionLogging().Run(Serve).UseGracefulShutdown();",
        "endpoint.UseGracefulShutdown().UseConnectionLogging().Run(Serve);")]
    [InlineData(
        "endpoint.UseConnectionLogging();\n    endpoint.Run(Serve);\n    endpoint.UseGracefulShutdown();",
        "endpoint.UseGracefulShutdown();\n    endpoint.UseConnectionLogging();\n    endpoint.Run(Serve);")]
    public async Task Fix_MovesTheCallToTheFront(string before, string after)
    {
        var changed = await Analysis.FixAsync(Program(before), new PipelineOrderCodeFix());

        Assert.Equal(Squeeze(Program(after)), Squeeze(changed));
    }

    [Fact]
    public async Task TopLevelStatements_AreLookedAtAndMendedAsAnyOthers()
    {
        const string run = "endpoint.Run(static _ => Task.CompletedTask);";
        var marked = TopLevel($"{run} endpoint.[|UseGracefulShutdown|]();");

        await Analysis.AssertFlagsAsync("GRACE001", marked);
        await Analysis.AssertSilentAsync(TopLevel($"endpoint.UseGracefulShutdown(); {run}"));
        var changed = await Analysis.FixAsync(Analysis.Unmark(marked).Source, new PipelineOrderCodeFix());

        Assert.Equal(Squeeze(TopLevel($"endpoint.UseGracefulShutdown(); {run}")), Squeeze(changed));
    }

    private static string TopLevel(string calls) =>
        $"""
        using GracefulConnections;
        using Microsoft.AspNetCore.Connections;

        var endpoint = new ConnectionBuilder(new ServiceCollection().BuildServiceProvider());
        {calls}
        endpoint.Build();
        """;

    private static string Squeeze(string text) => string.Concat(text.Where(static one => !char.IsWhiteSpace(one)));

    private static string Program(string calls) =>
        $$"""
        using GracefulConnections;
        using Microsoft.AspNetCore.Connections;
        using Microsoft.AspNetCore.Server.Kestrel.Core;

        var builder = WebApplication.CreateSlimBuilder(args);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenAnyIP(7, endpoint => kestrel.ListenAnyIP(8, other =>
        {
            {{calls}}
        })));
        builder.Build().Run();

        static Task Serve(ConnectionContext connection) => Task.CompletedTask;

        static void Next(ref ListenOptions endpoint) => Console.WriteLine(endpoint);

        static class Opening
        {
            public static IConnectionBuilder Open(this KestrelServerOptions kestrel, int port) =>
                new ConnectionBuilder(kestrel.ApplicationServices);
        }

        class Handler : ConnectionHandler
        {
            public override Task OnConnectedAsync(ConnectionContext connection) => Task.CompletedTask;
        }
        """;
}
