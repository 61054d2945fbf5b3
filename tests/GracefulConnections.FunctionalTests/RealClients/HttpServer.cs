using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>Kestrel's own HTTP, on an endpoint that closes by <c>UseGracefulShutdown()</c> or as it comes. It takes 1 MB of request body at most.</summary>
internal static class HttpServer
{
    private const long MaxRequestBodySize = 1_000_000;

    public static Task<TestServer> StartAsync(RequestDelegate app, HttpProtocols protocols = HttpProtocols.Http1) =>
        StartAsync(app, protocols, (server, endpoint) => endpoint.UseGracefulShutdown().Use(server.ObserveResults));

    public static Task<TestServer> StartStockAsync(RequestDelegate app) => StartAsync(app, HttpProtocols.Http1, static (_, _) => { });

    private static Task<TestServer> StartAsync(RequestDelegate app, HttpProtocols protocols, Action<TestServer, ListenOptions> configure) => TestServer.StartAsync(
        new IPEndPoint(IPAddress.Loopback, 0),
        (server, endpoint) =>
        {
            endpoint.Protocols = protocols;
            configure(server, endpoint);
        },
        builder =>
        {
            builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = MaxRequestBodySize);
            builder.Services.AddSingleton<IStartupFilter>(new TerminalStartupFilter(app));
        });
}
