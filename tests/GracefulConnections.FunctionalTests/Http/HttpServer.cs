using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>Kestrel's own HTTP, on an endpoint that closes by <c>UseGracefulShutdown()</c> or as it comes. It takes 1 MB of request body at most.</summary>
internal static class HttpServer
{
    public const long MaxRequestBodySize = 1_000_000;

    /// <summary>Starts a server. Unless the test says so, no silence of its peers and no patience of the host ends before the limit of every wait.</summary>
    /// <param name="app">Answers every request.</param>
    /// <param name="placement">Where <c>UseGracefulShutdown()</c> stands.</param>
    /// <param name="protocols">What the endpoint speaks.</param>
    /// <param name="closeRequested">Called when a connection was asked to close, after Kestrel's HTTP has heard of it.</param>
    /// <param name="build">Changes the host.</param>
    public static Task<TestServer> StartAsync(
        RequestDelegate app,
        TlsPlacement placement = TlsPlacement.Plaintext,
        HttpProtocols protocols = HttpProtocols.Http1,
        Action? closeRequested = null,
        Action<WebApplicationBuilder>? build = null) => StartAsync(
        app,
        protocols,
        (server, endpoint) =>
        {
            // With both placements the result is that of the outer one.
            if (placement != TlsPlacement.Inside)
            {
                endpoint.UseGracefulShutdown(WithPatience).Use(server.ObserveResults);
            }

            if (placement != TlsPlacement.Plaintext)
            {
                endpoint.UseHttps(TestCertificate.Server);
            }

            if (placement == TlsPlacement.Inside)
            {
                endpoint.UseGracefulShutdown(WithPatience).Use(server.ObserveResults);
            }
            else if (placement == TlsPlacement.Both)
            {
                endpoint.UseGracefulShutdown(WithPatience);
            }

            if (closeRequested is not null)
            {
                endpoint.Use(next => connection =>
                {
                    // Who registers first is called last.
                    connection.Features.Get<IGracefulCloseFeature>()!.CloseRequested.UnsafeRegister(_ => closeRequested(), null);
                    return next(connection);
                });
            }
        },
        builder =>
        {
            builder.Services.Configure<HostOptions>(options => options.ShutdownTimeout = 2 * TestServer.TestLimit);
            build?.Invoke(builder);
        });

    /// <summary>Starts the same server as stock Kestrel.</summary>
    public static Task<TestServer> StartStockAsync(RequestDelegate app, bool withTls = false) => StartAsync(
        app,
        HttpProtocols.Http1,
        (_, endpoint) =>
        {
            if (withTls)
            {
                endpoint.UseHttps(TestCertificate.Server);
            }
        });

    /// <summary>Returns the address of a server's root.</summary>
    public static Uri Address(this TestServer server, TlsPlacement placement) =>
        new(placement == TlsPlacement.Plaintext ? $"http://127.0.0.1:{server.Port}/" : $"https://localhost:{server.Port}/");

    private static void WithPatience(GracefulCloseOptions options) => options.LingerIdleTimeout = 2 * TestServer.TestLimit;

    private static Task<TestServer> StartAsync(RequestDelegate app, HttpProtocols protocols, Action<TestServer, ListenOptions> configure, Action<WebApplicationBuilder>? build = null) =>
        TestServer.StartAsync(
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
                build?.Invoke(builder);
            });
}
