using System.Net;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;

namespace GracefulConnections.Frameworks.Tests;

/// <summary>An Orleans silo whose connections close gracefully.</summary>
public class OrleansTests
{
    private const int CallCount = 8;

    [Fact]
    public async Task Stop_CallsInHand_NoMoreAreLostThanOnStock() => await Comparison.RunAsync("Orleans", RunAsync);

    private static async Task<StopFigures> RunAsync(Setup setup)
    {
        var (siloPort, gatewayPort) = (FreePort.Find(), FreePort.Find());
        await using var server = await FrameworkServer.StartAsync(
            setup,
            services => services.AddOrleans(silo =>
            {
                silo.UseLocalhostClustering(siloPort, gatewayPort);
                if (setup != Setup.Stock)
                {
                    silo.Configure<SiloConnectionOptions>(static connections =>
                    {
                        connections.ConfigureSiloInboundConnection(static endpoint => endpoint.UseGracefulShutdown());
                        connections.ConfigureSiloOutboundConnection(static endpoint => endpoint.UseGracefulShutdown());
                        connections.ConfigureGatewayInboundConnection(static endpoint => endpoint.UseGracefulShutdown());
                    });
                }
            }),
            static _ => { });

        using var client = new HostBuilder()
            .UseOrleansClient(orleans => orleans.UseLocalhostClustering(gatewayPort))
            .Build();
        await client.StartAsync().WaitAsync(Waiting.Limit);
        var grains = client.Services.GetRequiredService<IGrainFactory>();
        for (var i = 0; i < CallCount; i++)
        {
            Assert.Equal(1, await grains.GetGrain<IWorkGrain>(i).DoAsync(1).WaitAsync(Waiting.Limit));
        }

        var figures = await server.StopUnderLoadAsync(
            [.. Enumerable.Range(0, CallCount).Select(i => (Func<Task>)(() => grains.GetGrain<IWorkGrain>(i).DoAsync(2)))]);
        await client.StopAsync().WaitAsync(Waiting.Limit);
        return figures;
    }
}
