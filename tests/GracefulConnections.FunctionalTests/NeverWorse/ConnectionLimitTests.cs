using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Kestrel's <c>Limits.MaxConcurrentConnections</c> counts handlers: a peer that has its answer and keeps its side open
/// keeps nobody out.
/// </summary>
public sealed class ConnectionLimitTests : IDisposable
{
    private const int ReplyBytes = 100;
    private readonly SemaphoreSlim _mayReply = new(0);

    public enum Kind
    {
        Stock,
        Endpoint,
        EndpointWithDrain,
        InsideOfTheHandler,
    }

    public void Dispose() => _mayReply.Dispose();

    [Theory]
    [InlineData(Kind.Stock, 'R')]
    [InlineData(Kind.Stock, 'T')]
    [InlineData(Kind.Endpoint, 'R')]
    [InlineData(Kind.Endpoint, 'T')]
    [InlineData(Kind.EndpointWithDrain, 'R')]
    [InlineData(Kind.EndpointWithDrain, 'T')]
    [InlineData(Kind.InsideOfTheHandler, 'R')]
    [InlineData(Kind.InsideOfTheHandler, 'T')]
    public async Task HandlerEnded_PeerKeepsItsSideOpen_TheNextIsServed(Kind kind, char wish)
    {
        await using var server = await StartAsync(kind);
        await using var first = await ServedAsync();
        await using var second = await ServedAsync();
        await using var third = await ServedAsync();

        // It keeps its side open when it has its answer.
        async Task<ScriptedPeer> ServedAsync()
        {
            var peer = await server.ConnectAsync();
            await peer.SendAsync(new[] { (byte)wish });
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            return peer;
        }
    }

    [Theory]
    [InlineData(Kind.Stock)]
    [InlineData(Kind.Endpoint)]
    [InlineData(Kind.EndpointWithDrain)]
    [InlineData(Kind.InsideOfTheHandler)]
    public async Task HandlerRuns_AnotherHasClosed_TheNextIsRefused(Kind kind)
    {
        await using var server = await StartAsync(kind);
        await using var closed = await server.ConnectAsync();
        await closed.SendAsync("R"u8.ToArray());
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await closed.ReadToEndAsync());
        await using var served = await server.ConnectAsync();
        await served.SendAsync("W"u8.ToArray());
        closed.HalfClose();
        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(server.Port).Count(socket => socket is { RemotePort: > 0, HasDescriptor: true }) == 1);

        await using (var refused = await server.ConnectAsync())
        {
            Assert.Equal(0, (await refused.ReadToEndAsync()).Bytes);
        }

        _mayReply.Release();
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await served.ReadToEndAsync());
    }

    // Those that linger hold a descriptor each. Where places are limited, there are no more of them than places.
    [Theory]
    [InlineData(Kind.Stock, null, 0)]
    [InlineData(Kind.Endpoint, null, 1)]
    [InlineData(Kind.EndpointWithDrain, null, 1)]
    [InlineData(Kind.InsideOfTheHandler, null, 1)]
    [InlineData(Kind.Endpoint, 2, 2)]
    [InlineData(Kind.InsideOfTheHandler, 2, 2)]
    public async Task PeersKeepTheirSidesOpen_NoMoreThanPlacesLinger(Kind kind, int? max, int expected)
    {
        await using var server = await StartAsync(kind, max);
        await using var first = await ServedAsync();
        await using var second = await ServedAsync();
        await using var third = await ServedAsync();
        await using var fourth = await ServedAsync();

        await Eventually.IsTrueAsync(() => KernelSocket.OnPort(server.Port).Count(socket => socket is { RemotePort: > 0, HasDescriptor: true }) == expected);

        async Task<ScriptedPeer> ServedAsync()
        {
            var peer = await server.ConnectAsync();
            await peer.SendAsync("R"u8.ToArray());
            Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
            return peer;
        }
    }

    private async Task<TestServer> StartAsync(Kind kind, int? maxLingering = null) => await TestServer.StartAsync(
        new IPEndPoint(IPAddress.Loopback, 0),
        (server, endpoint) =>
        {
            if (kind is Kind.Endpoint or Kind.EndpointWithDrain)
            {
                endpoint.UseGracefulShutdown(Configure);
            }

            if (kind == Kind.InsideOfTheHandler)
            {
                var options = new GracefulCloseOptions();
                Configure(options);
                var services = endpoint.ApplicationServices;
                endpoint.Run(connection => connection.RunGracefullyAsync(ServeAsync, options, services));
            }
            else
            {
                endpoint.Run(connection => ServeAsync(connection, default));
            }

            void Configure(GracefulCloseOptions options) =>
                (options.LingerIdleTimeout, options.MaxLingeringConnections) = (2 * TestServer.TestLimit, maxLingering);
        },
        builder =>
        {
            builder.WebHost.ConfigureKestrel(static kestrel => kestrel.Limits.MaxConcurrentConnections = 1);
            if (kind == Kind.EndpointWithDrain)
            {
                builder.Services.AddGracefulShutdown();
            }
        });

    // Replies, or replies and throws, or waits before it replies.
    private async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        var first = await connection.Transport.Input.ReadAsync(CancellationToken.None);
        var wish = first.Buffer.FirstSpan[0];
        connection.Transport.Input.AdvanceTo(first.Buffer.End);
        if (wish == (byte)'W')
        {
            await _mayReply.WaitAsync(WaitLimit.Longest, CancellationToken.None);
        }

        await connection.SendAsync(ReplyBytes);
        if (wish == (byte)'T')
        {
            throw new InvalidOperationException("The handler throws behind its reply.");
        }
    }
}
