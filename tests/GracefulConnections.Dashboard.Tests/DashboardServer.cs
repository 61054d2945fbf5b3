using System.Net;
using System.Net.Sockets;
using System.Security.Claims;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Dashboard.Tests;

/// <summary>A raw echo server with a dashboard on a second port.</summary>
internal sealed class DashboardServer : IAsyncDisposable
{
    /// <summary>The header by which a test's request says who it is.</summary>
    public const string UserHeader = "X-Test-User";

    /// <summary>The path of a second dashboard of the same host.</summary>
    public const string SecondPattern = "/second";

    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly WebApplication _app;

    private DashboardServer(WebApplication app, Uri http, IPEndPoint raw)
    {
        _app = app;
        Http = http;
        Raw = raw;
        Client = new HttpClient(new SocketsHttpHandler { UseCookies = true, AllowAutoRedirect = false })
        {
            BaseAddress = http,
            Timeout = Limit,
        };
    }

    public Uri Http { get; }

    public IPEndPoint Raw { get; }

    public HttpClient Client { get; }

    public IDrainCoordinator Drain => _app.Services.GetRequiredService<IDrainCoordinator>();

    public IConfigurationRoot Configuration => (IConfigurationRoot)_app.Configuration;

    public IHostApplicationLifetime Lifetime => _app.Lifetime;

    /// <param name="options">The dashboard's options.</param>
    /// <param name="map">What is done with the routes.</param>
    /// <param name="drain">The drain's options.</param>
    /// <param name="tag">The tag of each connection, from its first line.</param>
    /// <param name="isHttpGraceful">Whether the dashboard's own endpoint takes part in the drain.</param>
    /// <param name="pattern">The path of the page.</param>
    /// <param name="settings">More configuration. Its section <c>Drain</c> is the drain's.</param>
    public static async Task<DashboardServer> StartAsync(
        Action<GracefulDashboardOptions>? options = null,
        Action<IEndpointConventionBuilder>? map = null,
        Action<ServerDrainOptions>? drain = null,
        Func<string, object>? tag = null,
        bool isHttpGraceful = false,
        string pattern = "/connections",
        Dictionary<string, string?>? settings = null)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
            {
                if (isHttpGraceful)
                {
                    endpoint.UseGracefulShutdown();
                }
            });
            kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
                endpoint.UseGracefulShutdown().Run(connection => ServeAsync(connection, tag)));
        });
        builder.Services.AddGracefulShutdown(drained =>
        {
            drained.AnnounceDelay = TimeSpan.Zero;
            drain?.Invoke(drained);
        });
        if (settings is not null)
        {
            builder.Configuration.AddInMemoryCollection(settings);
            builder.Services.Configure<ServerDrainOptions>(builder.Configuration.GetSection("Drain"));
        }

        builder.Services.AddAntiforgery();
        builder.Services.AddAuthentication("test")
            .AddScheme<AuthenticationSchemeOptions, HeaderAuthentication>("test", null);
        builder.Services.AddAuthorizationBuilder()
            .AddPolicy("operators", static policy => policy.RequireUserName("operator"));
        var app = builder.Build();
        app.UseAuthentication();
        app.UseAuthorization();
        var routes = app.MapGracefulConnections(pattern, options);
        map?.Invoke(routes);
        app.MapGracefulConnections(SecondPattern);
        await app.StartAsync();
        var addresses = app.Services.GetRequiredService<IServer>()
            .Features.Get<IServerAddressesFeature>()!.Addresses.Select(static address => new Uri(address)).ToArray();
        return new DashboardServer(app, addresses[0], new IPEndPoint(IPAddress.Loopback, addresses[1].Port));
    }

    /// <summary>Connects, names itself and waits until the server knows it.</summary>
    public async Task<TcpClient> ConnectAsync(string line = "hello")
    {
        var peer = new TcpClient();
        await peer.ConnectAsync(Raw).WaitAsync(Limit);
        var bytes = System.Text.Encoding.UTF8.GetBytes(line + "\n");
        await peer.GetStream().WriteAsync(bytes);
        await peer.GetStream().ReadExactlyAsync(bytes).AsTask().WaitAsync(Limit);
        return peer;
    }

    public Task StopAsync() => _app.StopAsync();

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _app.DisposeAsync();
    }

    // Echoes. Its first line is its tag.
    private static async Task ServeAsync(ConnectionContext connection, Func<string, object>? tag)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        var isFirst = true;
        while (true)
        {
            var read = await input.ReadAsync();
            if (isFirst && !read.Buffer.IsEmpty)
            {
                isFirst = false;
                var line = System.Text.Encoding.UTF8.GetString(System.Buffers.BuffersExtensions.ToArray(read.Buffer)).TrimEnd('\n');
                connection.Features.Get<IGracefulCloseFeature>()!.Tag = tag is null ? line : tag(line);
            }

            foreach (var segment in read.Buffer)
            {
                await output.WriteAsync(segment);
            }

            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    private sealed class HeaderAuthentication(
        IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logger, UrlEncoder encoder)
        : AuthenticationHandler<AuthenticationSchemeOptions>(options, logger, encoder)
    {
        protected override Task<AuthenticateResult> HandleAuthenticateAsync()
        {
            var user = Request.Headers[UserHeader].ToString();
            if (user.Length == 0)
            {
                return Task.FromResult(AuthenticateResult.NoResult());
            }

            var identity = new ClaimsIdentity([new Claim(ClaimTypes.Name, user)], Scheme.Name);
            return Task.FromResult(AuthenticateResult.Success(
                new AuthenticationTicket(new ClaimsPrincipal(identity), Scheme.Name)));
        }
    }
}
