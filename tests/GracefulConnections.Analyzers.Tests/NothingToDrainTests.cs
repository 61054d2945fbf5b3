using GracefulConnections.Analyzers.Tests.Support;
using Microsoft.CodeAnalysis;

namespace GracefulConnections.Analyzers.Tests;

public class NothingToDrainTests
{
    [Fact]
    public Task DrainWithoutAnEndpoint_IsFlagged() =>
        Analysis.AssertFlagsAsync("GRACE002", Program("[|builder.Services.AddGracefulShutdown()|];"));

    [Theory]
    [InlineData("builder.WebHost.ConfigureKestrel(kestrel => kestrel.ListenAnyIP(7, endpoint => endpoint.UseGracefulShutdown()));")]
    [InlineData("builder.WebHost.ConfigureKestrel(kestrel => kestrel.ConfigureEndpointDefaults(endpoint => endpoint.UseGracefulShutdown()));")]
    [InlineData("builder.Services.AddGracefulConnectionFactory(options => options.DrainWithServer = true);")]
    [InlineData("await GracefulTestServer.StartAsync(static connection => Task.CompletedTask);")]
    public Task DrainWithAnEndpoint_IsNotFlagged(string endpoint) =>
        Analysis.AssertSilentAsync(Program($"builder.Services.AddGracefulShutdown(); {endpoint}"));

    [Fact]
    public Task NoDrain_IsNotFlagged() => Analysis.AssertSilentAsync(Program(""));

    [Fact]
    public Task Library_IsNotFlagged() => Analysis.AssertSilentAsync(
        """
        using GracefulConnections;

        public static class Registration
        {
            public static void Register(IServiceCollection services) => services.AddGracefulShutdown();
        }
        """,
        OutputKind.DynamicallyLinkedLibrary);

    private static string Program(string calls) =>
        $$"""
        using GracefulConnections;
        using Microsoft.AspNetCore.Connections;

        var builder = WebApplication.CreateSlimBuilder(args);
        {{calls}}
        builder.Build().Run();

        // As in the package GracefulConnections.Testing, which these tests do not refer to.
        static class GracefulTestServer
        {
            public static Task StartAsync(Func<ConnectionContext, Task> handler) => Task.CompletedTask;
        }
        """;
}
