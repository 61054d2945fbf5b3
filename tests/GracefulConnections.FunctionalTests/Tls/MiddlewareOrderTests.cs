using System.Net;
using System.Text;
using GracefulConnections.FunctionalTests.Http;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>
/// Every order of <c>UseGracefulShutdown()</c> (G), <c>UseHttps()</c> (T), <c>UseConnectionLogging()</c> (L) and a
/// middleware that wraps the transport (W): what is on the wire below TLS, and what the server says at its start.
/// </summary>
public class MiddlewareOrderTests
{
    private const int TransportIsWrapped = 9;
    private const int TlsIsInside = 23;
    private const int GoodbyeOutsideTls = 24;

    /// <summary>
    /// Gets every order that the server starts with, with the goodbye of the endpoint and with that of the handler.
    /// </summary>
    public static TheoryData<string, bool> LegalOrders
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (var order in (string[])[.. Orders("GTLW"), .. Orders("GGTLW").Where(IsLegal)])
            {
                data.Add(order, false);
                data.Add(order, true);
            }

            return data;
        }
    }

    public static TheoryData<string> IllegalOrders =>
        [.. Orders("GG"), .. Orders("GGL"), .. Orders("GGLW"),
        .. Orders("GGTLW").Where(static order => !IsLegal(order)), "GTGG", "GGTG", "GTGLG"];

    [Theory]
    [MemberData(nameof(LegalOrders))]
    public async Task Wire_EveryLegalOrderAndEnd_CarriesNothingButTls(string order, bool isHandlersGoodbye)
    {
        await using var server =
            await StartAsync(order, isHandlersGoodbye, builder => TestServer.AddPatientDrain(builder));
        var isInside = isHandlersGoodbye || order.LastIndexOf('G') > order.IndexOf('T');

        await EndAsync(server, Plaintext.Return, Plaintext.Greeting + Plaintext.LastWords);
        await EndAsync(server, Plaintext.RequestClose, Plaintext.Served + (isInside ? Plaintext.Goodbye : ""));
        await EndAsync(server, Plaintext.AwaitDrain, Plaintext.Served + (isInside ? Plaintext.Goodbye : ""));
        await EndAsync(server, Plaintext.Abort, null);
        await EndAsync(server, Plaintext.Throw, null);
    }

    [Theory]
    [MemberData(nameof(IllegalOrders))]
    public async Task Start_TwiceWithoutTlsBetween_FailsAndTellsTheOrderToUse(string order)
    {
        var exception =
            await Assert.ThrowsAsync<InvalidOperationException>(() => StartAsync(order, isHandlersGoodbye: false));

        Assert.StartsWith(
            "UseGracefulShutdown() was called twice on one endpoint.", exception.Message, StringComparison.Ordinal);
        Assert.EndsWith(
            "UseGracefulShutdown(), UseHttps(), UseGracefulShutdown().", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("G")]
    [InlineData("LG")]
    [InlineData("GT")]
    [InlineData("GTG")]
    public async Task Start_DefaultsAndEndpointWithoutTlsBetween_FailsAndTellsThatDefaultsCount(string order)
    {
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() =>
            StartAsync(
                order, isHandlersGoodbye: false,
                builder => builder.WebHost.ConfigureKestrel(
                static kestrel =>
                kestrel.ConfigureEndpointDefaults(static endpoint => endpoint.UseGracefulShutdown()))));

        Assert.Contains("ConfigureEndpointDefaults counts", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GT")]
    [InlineData("GLT")]
    [InlineData("GWT")]
    [InlineData("GTL")]
    [InlineData("LGWT")]
    public async Task Log_Outside_TellsAtTheStartAndOnce(string order)
    {
        using var log = new CapturedLog();
        await using var server =
            await StartAsync(order, isHandlersGoodbye: false, builder => builder.Logging.AddProvider(log));
        Assert.Equal([(TlsIsInside, LogLevel.Information)], Told(log));

        await EndAsync(server, Plaintext.Return, Plaintext.Greeting + Plaintext.LastWords);
        await EndAsync(server, Plaintext.Return, Plaintext.Greeting + Plaintext.LastWords);

        (int, LogLevel)[] told = order.StartsWith('G')
            ? [(TlsIsInside, LogLevel.Information)]
            : [(TlsIsInside, LogLevel.Information), (TransportIsWrapped, LogLevel.Warning)];
        Assert.Equal(told, Told(log));
    }

    [Theory]
    [InlineData("GT")]
    [InlineData("GLTL")]
    public async Task Log_GoodbyeOutside_TellsThatItWasNotSaid(string order)
    {
        using var log = new CapturedLog();
        await using var server =
            await StartAsync(order, isHandlersGoodbye: false, builder => builder.Logging.AddProvider(log));

        await EndAsync(server, Plaintext.RequestClose, Plaintext.Served);

        Assert.Equal([(TlsIsInside, LogLevel.Information), (GoodbyeOutsideTls, LogLevel.Warning)], Told(log));
    }

    [Theory]
    [InlineData("TG", false)]
    [InlineData("LTG", false)]
    [InlineData("WTG", false)]
    [InlineData("GTG", false)]
    [InlineData("GLTGL", false)]
    [InlineData("GWTGW", false)]
    [InlineData("GT", true)]
    [InlineData("T", true)]
    public async Task Log_InsideOrBoth_TellsNothing(string order, bool isHandlersGoodbye)
    {
        using var log = new CapturedLog();
        await using var server =
            await StartAsync(order, isHandlersGoodbye, builder => builder.Logging.AddProvider(log));

        await EndAsync(server, Plaintext.RequestClose, Plaintext.Served + Plaintext.Goodbye);

        Assert.Empty(Told(log));
    }

    [Theory]
    [InlineData("LG")]
    [InlineData("WG")]
    [InlineData("LGTG")]
    [InlineData("TLG")]
    [InlineData("TWG")]
    [InlineData("GTWG")]
    [InlineData("GTWLG")]
    [InlineData("GLTLG")]
    public async Task Log_Wrapped_WarnsAtTheFirstConnectionAndOnce(string order)
    {
        using var log = new CapturedLog();
        await using var server =
            await StartAsync(order, isHandlersGoodbye: false, builder => builder.Logging.AddProvider(log));
        Assert.Empty(Told(log));

        for (var i = 0; i < 2; i++)
        {
            if (order.Contains('T'))
            {
                await EndAsync(server, Plaintext.Return, Plaintext.Greeting + Plaintext.LastWords);
            }
            else
            {
                await using var peer = await server.ConnectAsync();
                await peer.SendAsync(new[] { Plaintext.Return });
                Assert.Equal(
                    (Plaintext.Greeting.Length + Plaintext.LastWords.Length, PeerSaw.Eof), await peer.ReadToEndAsync());
            }
        }

        Assert.Equal([(TransportIsWrapped, LogLevel.Warning)], Told(log));
    }

    [Fact]
    public async Task Log_HttpFollows_TellsNothing()
    {
        using var log = new CapturedLog();
        await using var server = await HttpServer.StartAsync(
            static context => context.Response.WriteAsync("served"),
            TlsPlacement.Outside,
            build: builder => builder.Logging.AddProvider(log));
        using (var handler = new SocketsHttpHandler())
        using (var client = new HttpClient(handler))
        {
            handler.SslOptions.RemoteCertificateValidationCallback =
                static (_, certificate, _, _) => TestCertificate.Server.Equals(certificate);
            var url = new Uri($"https://127.0.0.1:{server.Port}/");
            Assert.Equal("served", await client.GetStringAsync(url, TestContext.Current.CancellationToken));
        }

        await server.NextResultAsync(); // The connection has ended, and with it the moment to tell.
        Assert.Empty(Told(log));
    }

    private static bool IsLegal(string order) =>
        order.IndexOf('G') < order.IndexOf('T') && order.IndexOf('T') < order.LastIndexOf('G');

    private static IEnumerable<string> Orders(string letters) => letters.Length <= 1
        ? [letters]
        : letters.Distinct().SelectMany(
            letter => Orders(letters.Remove(letters.IndexOf(letter), 1)).Select(rest => letter + rest));

    private static IEnumerable<(int EventId, LogLevel Level)> Told(CapturedLog log) => log.Entries
        .Where(static entry => entry.Category == "GracefulConnections"
            && entry.EventId is TransportIsWrapped or TlsIsInside or GoodbyeOutsideTls)
        .Select(static entry => (entry.EventId, entry.Level));

    /// <param name="expected">The plaintext, where all of it must arrive.</param>
    private static async Task EndAsync(TestServer server, byte command, string? expected)
    {
        await using var peer = await TappedPeer.ConnectAsync(server);
        // An abort may take it from a middleware that has not passed it on.
        await peer.ReadUntilAsync(Plaintext.Greeting);
        await peer.SendAsync(new[] { command });
        var draining = Task.CompletedTask;
        if (command == Plaintext.AwaitDrain)
        {
            await peer.ReadUntilAsync(Plaintext.Greeting + Plaintext.Greeting); // Now it waits for the drain.
            draining = server.DrainAsync(static _ => true);
        }

        var plaintext = await peer.ReadToEndAsync();
        await draining;

        TlsRecords.AssertNothingElse(peer.Received, peer.WasCutOff);
        Assert.DoesNotContain(Plaintext.Marker, Encoding.Latin1.GetString(peer.Received), StringComparison.Ordinal);
        if (expected is not null)
        {
            Assert.Equal((expected, false), (plaintext, peer.WasCutOff));
        }
    }

    private static Task<TestServer> StartAsync(
        string order, bool isHandlersGoodbye, Action<WebApplicationBuilder>? build = null) => TestServer.StartAsync(
        new IPEndPoint(IPAddress.Loopback, 0),
        (_, endpoint) =>
        {
            foreach (var letter in order)
            {
                Use(endpoint, letter, isHandlersGoodbye);
            }

            if (isHandlersGoodbye)
            {
                endpoint.UseConnectionHandler<PlaintextHandler>();
            }
            else
            {
                endpoint.Run(static connection => Plaintext.ServeAsync(connection));
            }
        },
        builder =>
        {
            builder.Services.Configure<GracefulCloseOptions>(
                static options => options.LingerIdleTimeout = 2 * TestServer.TestLimit);
            build?.Invoke(builder);
        });

    private static void Use(ListenOptions endpoint, char letter, bool isHandlersGoodbye)
    {
        switch (letter)
        {
            case 'G':
                endpoint.UseGracefulShutdown(
                    options => options.Goodbye = isHandlersGoodbye ? null : Plaintext.SayGoodbyeAsync);
                break;
            case 'T':
                endpoint.UseHttps(TestCertificate.Server);
                break;
            case 'L':
                endpoint.UseConnectionLogging();
                break;
            default:
                endpoint.Use(static next => new CopyingMiddleware(next).OnConnectionAsync);
                break;
        }
    }
}
