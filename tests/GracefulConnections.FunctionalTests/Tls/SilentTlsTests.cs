using System.Net;
using System.Text;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>TLS that no feature tells of: the library must not put a byte on the socket below it.</summary>
public class SilentTlsTests
{
    [Theory]
    [InlineData(Plaintext.Return)]
    [InlineData(Plaintext.RequestClose)]
    public Task Middleware_EveryEnd_CarriesNothingButTls(byte command) => EndAsync(command, isTransport: false);

    [Theory]
    [InlineData(Plaintext.Return)]
    [InlineData(Plaintext.RequestClose)]
    public Task TransportWithTlsOfItsOwn_EveryEnd_CarriesNothingButTls(byte command) =>
        EndAsync(command, isTransport: true);

    private static async Task EndAsync(byte command, bool isTransport)
    {
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) =>
            {
                if (!isTransport)
                {
                    endpoint.Use(static next => new SilentTlsMiddleware(next).OnConnectionAsync);
                }

                endpoint.UseGracefulShutdown(static options => options.Goodbye = Plaintext.SayGoodbyeAsync);
                endpoint.Run(static connection => Plaintext.ServeAsync(connection));
            },
            builder =>
            {
                if (isTransport)
                {
                    builder.Services.AddSingleton<IConnectionListenerFactory, SecureTransport>();
                }
            });
        await using var peer = await TappedPeer.ConnectAsync(server);
        await peer.ReadUntilAsync(Plaintext.Greeting);
        await peer.SendAsync(new[] { command });

        var plaintext = await peer.ReadToEndAsync();

        var expected = command == Plaintext.RequestClose
            ? Plaintext.Served + Plaintext.Goodbye
            : Plaintext.Greeting + Plaintext.LastWords;
        Assert.Equal((expected, false), (plaintext, peer.WasCutOff));
        TlsRecords.AssertNothingElse(peer.Received, wasCutOff: false);
        Assert.DoesNotContain(Plaintext.Marker, Encoding.Latin1.GetString(peer.Received), StringComparison.Ordinal);
    }
}
