using System.Net;
using System.Text;
using GracefulConnections.FunctionalTests.Http;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Endpoints;

/// <summary>
/// <c>ConfigureEndpointDefaults</c>, and endpoints from configuration. Kestrel puts the TLS of an https endpoint behind everything that the defaults and the endpoint's own callback add,
/// unless one of them has called <c>UseHttps()</c>.
/// </summary>
public sealed class ConfiguredEndpointTests : IDisposable
{
    private const string Name = "Configured";

    private static readonly byte[] Request = Encoding.ASCII.GetBytes("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");

    private readonly string _pem = TestCertificate.WriteServerPem();
    private ListenOptions? _listening;

    public void Dispose() => File.Delete(_pem);

    [Fact]
    public async Task Defaults_PlainEndpoint_PeerStillUploading_GetsTheWholeReply()
    {
        await using var server = await StartAsync(UseDefaults, endpoint: null);

        await WholeReply.AssertArrivesAsync(server, server.EndPoint);
    }

    [Fact]
    public async Task Defaults_EndpointWithHttps_IsOutside()
    {
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            static (server, endpoint) => endpoint.UseHttps(TestCertificate.Server).Use(server.ObserveResults).Run(static connection => WholeReply.SendAsync(connection)),
            static builder => builder.WebHost.ConfigureKestrel(static kestrel => kestrel.ConfigureEndpointDefaults(static endpoint => UseDefaults(endpoint))));

        await WholeReply.AssertArrivesOverTlsAsync(server, server.EndPoint, TlsPeerSaw.Eof);
    }

    [Fact]
    public async Task Defaults_ConfiguredHttp_PeerStillUploading_GetsTheWholeReply()
    {
        await using var server = await StartAsync(UseDefaults, static (server, endpoint) => Serve(server, endpoint.ListenOptions), "http");

        await WholeReply.AssertArrivesAsync(server, _listening!.EndPoint);
    }

    [Fact]
    public async Task Callback_ConfiguredHttp_PeerStillUploading_GetsTheWholeReply()
    {
        await using var server = await StartAsync(null, static (server, endpoint) => Serve(server, endpoint.ListenOptions.UseGracefulShutdown(WholeReply.BePatient)), "http");

        await WholeReply.AssertArrivesAsync(server, _listening!.EndPoint);
    }

    // Kestrel's HTTP comes behind Kestrel's TLS, so that nothing has to be done for it.
    [Fact]
    public async Task Defaults_ConfiguredHttps_KestrelsHttp_IsOutside()
    {
        await using var server = await StartAsync(UseDefaults, static (server, endpoint) => endpoint.ListenOptions.Use(server.ObserveResults), "https");

        await WholeReply.AssertArrivesOverTlsAsync(server, _listening!.EndPoint, TlsPeerSaw.Eof, Request);
    }

    [Fact]
    public async Task Callback_ConfiguredHttps_KestrelsHttp_IsOutside()
    {
        await using var server = await StartAsync(null, static (server, endpoint) => endpoint.ListenOptions.UseGracefulShutdown(WholeReply.BePatient).Use(server.ObserveResults), "https");

        await WholeReply.AssertArrivesOverTlsAsync(server, _listening!.EndPoint, TlsPeerSaw.Eof, Request);
    }

    [Fact]
    public async Task Callback_ConfiguredHttps_UseHttpsFirst_IsInside()
    {
        await using var server = await StartAsync(
            null, static (server, endpoint) => Serve(server, endpoint.ListenOptions.UseHttps(endpoint.HttpsOptions).UseGracefulShutdown(WholeReply.BePatient)), "https");

        await WholeReply.AssertArrivesOverTlsAsync(server, _listening!.EndPoint, TlsPeerSaw.CloseNotify);
    }

    [Fact]
    public async Task DefaultsAndCallback_ConfiguredHttps_UseHttpsBetween_IsBoth()
    {
        await using var server = await StartAsync(
            UseDefaults, static (server, endpoint) => Serve(server, endpoint.ListenOptions.UseHttps(endpoint.HttpsOptions).UseGracefulShutdown(WholeReply.BePatient)), "https");

        await WholeReply.AssertArrivesOverTlsAsync(server, _listening!.EndPoint, TlsPeerSaw.CloseNotify);
    }

    [Fact]
    public async Task DefaultsAndCallback_ConfiguredHttps_NothingBetween_FailsAtTheStart()
    {
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() =>
            StartAsync(UseDefaults, static (_, endpoint) => endpoint.ListenOptions.UseGracefulShutdown(WholeReply.BePatient), "https"));

        Assert.Contains("ConfigureEndpointDefaults counts", exception.Message, StringComparison.Ordinal);
    }

    // Not ours to change: a handler ends the chain, so that TLS, added behind it, never comes. Here as a warning.
    [Fact]
    public async Task Callback_ConfiguredHttps_HandlerWithoutUseHttps_IsPlaintext()
    {
        await using var server = await StartAsync(null, static (server, endpoint) => Serve(server, endpoint.ListenOptions.UseGracefulShutdown(WholeReply.BePatient)), "https");

        await WholeReply.AssertArrivesAsync(server, _listening!.EndPoint);
    }

    private static void UseDefaults(ListenOptions endpoint) => endpoint.UseGracefulShutdown(WholeReply.BePatient);

    private static void Serve(TestServer server, ListenOptions endpoint) => endpoint.Use(server.ObserveResults).Run(static connection => WholeReply.SendAsync(connection));

    /// <param name="defaults">For every endpoint.</param>
    /// <param name="endpoint">For the one from configuration; <see langword="null"/> for one in code alone.</param>
    /// <param name="scheme">Of the one from configuration.</param>
    private Task<TestServer> StartAsync(Action<ListenOptions>? defaults, Action<TestServer, EndpointConfiguration>? endpoint, string? scheme = null) => TestServer.StartAsync(
        new IPEndPoint(IPAddress.Loopback, 0),
        (server, inCode) =>
        {
            Serve(server, defaults is null ? inCode.UseGracefulShutdown(WholeReply.BePatient) : inCode);
            if (endpoint is not null)
            {
                inCode.KestrelServerOptions.Configure(inCode.ApplicationServices.GetRequiredService<IConfiguration>().GetSection("Kestrel")).Endpoint(Name, configured =>
                {
                    _listening = configured.ListenOptions;
                    endpoint(server, configured);
                });
            }
        },
        builder =>
        {
            builder.WebHost.UseKestrelHttpsConfiguration();
            builder.WebHost.ConfigureKestrel(kestrel =>
            {
                if (defaults is not null)
                {
                    kestrel.ConfigureEndpointDefaults(defaults);
                }
            });
            builder.Services.AddSingleton<IStartupFilter>(new TerminalStartupFilter(AnswerAsync));
            if (scheme is not null)
            {
                builder.Configuration[$"Kestrel:Endpoints:{Name}:Url"] = $"{scheme}://127.0.0.1:0";
            }

            if (scheme == "https")
            {
                builder.Configuration[$"Kestrel:Endpoints:{Name}:Certificate:Path"] = _pem;
                builder.Configuration[$"Kestrel:Endpoints:{Name}:Certificate:KeyPath"] = _pem;
            }
        });

    private static Task AnswerAsync(HttpContext context)
    {
        context.Response.ContentLength = WholeReply.Bytes;
        return context.Response.Body.WriteAsync(new byte[WholeReply.Bytes]).AsTask();
    }
}
