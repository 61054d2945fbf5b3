using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>A server with TLS whose peers are up to no good. Once it has stopped, nothing of them may be left.</summary>
internal sealed class BadInputServer : IAsyncDisposable
{
    private readonly CapturedLog _log = new();
    private readonly UnobservedFaults _unobserved = new();
    private readonly int _descriptors = KernelSocket.CountDescriptors();
    private TestServer _server = null!;
    private OpenConnections _open = null!;

    private BadInputServer()
    {
    }

    /// <param name="placement">Where <c>UseGracefulShutdown()</c> stands; <see langword="null"/> for stock Kestrel.</param>
    /// <param name="tls">Changes what the server asks of a handshake.</param>
    /// <param name="lingerIdleTimeout">Unless the test says so, beyond the limit of every wait: only what the peer does ends its connection.</param>
    public static async Task<BadInputServer> StartAsync(TlsPlacement? placement, Action<HttpsConnectionAdapterOptions>? tls = null, TimeSpan? lingerIdleTimeout = null)
    {
        void Configure(GracefulCloseOptions options) => options.LingerIdleTimeout = lingerIdleTimeout ?? (2 * TestServer.TestLimit);

        var bad = new BadInputServer();
        bad._server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) =>
            {
                if (placement is TlsPlacement.Outside or TlsPlacement.Both)
                {
                    endpoint.UseGracefulShutdown(Configure);
                }

                endpoint.UseHttps(TestCertificate.Server, options => tls?.Invoke(options));
                if (placement is TlsPlacement.Inside or TlsPlacement.Both)
                {
                    endpoint.UseGracefulShutdown(Configure);
                }

                endpoint.Run(static connection => HandlerSteps.EchoAsync(connection));
            },
            builder => builder.Logging.SetMinimumLevel(LogLevel.Debug).AddProvider(bad._log));
        bad._open = new OpenConnections(bad._server);
        return bad;
    }

    public Task<ScriptedPeer> ConnectAsync() => _server.ConnectAsync();

    /// <summary>Receives until the server's end, then ends too.</summary>
    /// <returns>What arrived, and how it ended, to be compared with another server's.</returns>
    public static async Task<string> ReadToEndAsync(ScriptedPeer peer)
    {
        var received = new StringBuilder();
        var buffer = new byte[4096];
        while (true)
        {
            int count;
            try
            {
                count = await peer.ReceiveAsync(buffer);
            }
            catch (SocketException exception)
            {
                return $"{received}, {exception.SocketErrorCode}";
            }

            if (count == 0)
            {
                return $"{received}, FIN";
            }

            received.Append(Convert.ToHexString(buffer, 0, count));
        }
    }

    /// <summary>Asserts that the bad peers left nothing behind.</summary>
    /// <param name="besidesPeers">The peers that are not gone.</param>
    public async Task AssertNothingIsLeftAsync(int besidesPeers = 0)
    {
        await Eventually.IsTrueAsync(() => _open.AreOver);
        await _server.StopAsync();
        await _server.DisposeAsync();
        Assert.DoesNotContain(_log.Entries, static entry => entry.Level > LogLevel.Information);
        Assert.Empty(_unobserved.Faults);
        await Eventually.IsTrueAsync(() => KernelSocket.CountDescriptors() <= _descriptors + besidesPeers);
    }

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        _open.Dispose();
        _unobserved.Dispose();
        _log.Dispose();
    }
}
