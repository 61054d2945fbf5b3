using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>
/// Peers on a TLS port that do not come to TLS: what they receive is what stock Kestrel sends them, and nothing of them
/// is left.
/// </summary>
[Collection(SerialTests.Name)]
public class TlsBadInputTests
{
    private static readonly byte[] PlainHttp = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"u8.ToArray();
    // RFC 5246, 7.2: fatal, bad_certificate.
    private static readonly byte[] BadCertificateAlert = [21, 3, 3, 0, 2, 2, 42];
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(300);

    // Once for all placements: the bytes are the same.
    private static readonly Lazy<Task<string[]>> StockSaw = new(static () => SendRandomAsync(null));

    public static TheoryData<TlsPlacement> Placements => [TlsPlacement.Inside, TlsPlacement.Outside, TlsPlacement.Both];

    public static TheoryData<TlsPlacement, SslProtocols> PlacementsAndProtocols => new()
    {
        { TlsPlacement.Inside, SslProtocols.Tls12 },
        { TlsPlacement.Inside, SslProtocols.Tls13 },
        { TlsPlacement.Outside, SslProtocols.Tls12 },
        { TlsPlacement.Outside, SslProtocols.Tls13 },
        { TlsPlacement.Both, SslProtocols.Tls12 },
        { TlsPlacement.Both, SslProtocols.Tls13 },
    };

    [Theory]
    [MemberData(nameof(PlacementsAndProtocols))]
    public Task Handshake_PeerRejectsTheCertificate_EndsAsStock(TlsPlacement placement, SslProtocols protocol) =>
        AssertAsStockAsync(placement, async peer =>
        {
            var saw = await ShakeHandsAsync(peer, protocol, static options => options.CertificateChainPolicy = null);
            // The runtime says nothing to the server; it leaves that to whoever owns the stream below.
            peer.HalfClose();
            return $"{saw}{EndOf(await BadInputServer.ReadToEndAsync(peer))}";
        });

    [Theory]
    [MemberData(nameof(Placements))]
    public Task Handshake_PeerRejectsTheCertificateWithAnAlert_EndsAsStock(TlsPlacement placement) =>
        AssertAsStockAsync(placement, async peer =>
    {
        await peer.SendAsync(await GetClientHelloAsync());
        await peer.ReceiveAsync(new byte[1]); // The server's part of the handshake, which differs each time.
        await peer.SendAsync(BadCertificateAlert);
        return EndOf(await BadInputServer.ReadToEndAsync(peer));
    });

    [Theory]
    [MemberData(nameof(PlacementsAndProtocols))]
    public Task Handshake_PeerHasNoCertificate_EndsAsStock(TlsPlacement placement, SslProtocols protocol) =>
        AssertAsStockAsync(
            placement,
            async peer => $"{await ShakeHandsAsync(peer, protocol)}{EndOf(await BadInputServer.ReadToEndAsync(peer))}",
            static tls => tls.ClientCertificateMode = ClientCertificateMode.RequireCertificate);

    [Theory]
    [MemberData(nameof(Placements))]
    public Task Handshake_PeerIsSilent_EndsAsStockAtHandshakeTimeout(TlsPlacement placement) =>
        AssertAsStockAsync(placement, BadInputServer.ReadToEndAsync, static tls => tls.HandshakeTimeout = Short);

    [Theory]
    [MemberData(nameof(Placements))]
    public Task Handshake_ClientHelloIsCutInHalf_EndsAsStockAtHandshakeTimeout(TlsPlacement placement) =>
        AssertAsStockAsync(
        placement,
        async peer =>
        {
            var hello = await GetClientHelloAsync();
            await peer.SendAsync(hello.AsMemory(0, hello.Length / 2));
            return await BadInputServer.ReadToEndAsync(peer);
        },
        static tls => tls.HandshakeTimeout = Short);

    [Theory]
    [MemberData(nameof(Placements))]
    public Task Handshake_ClientHelloIsCutInHalfByFin_EndsAsStock(TlsPlacement placement) =>
        AssertAsStockAsync(placement, async peer =>
    {
        var hello = await GetClientHelloAsync();
        await peer.SendAsync(hello.AsMemory(0, hello.Length / 2));
        peer.HalfClose();
        return await BadInputServer.ReadToEndAsync(peer);
    });

    [Theory]
    [InlineData(TlsPlacement.Inside, "HELO mail.example.org\r\n")]
    [InlineData(TlsPlacement.Outside, "HELO mail.example.org\r\n")]
    [InlineData(TlsPlacement.Both, "HELO mail.example.org\r\n")]
    [InlineData(TlsPlacement.Inside, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(TlsPlacement.Outside, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(TlsPlacement.Both, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")]
    [InlineData(TlsPlacement.Inside, "\x16\x03\x01\x00\x05garbage in a handshake's record")]
    [InlineData(TlsPlacement.Outside, "\x16\x03\x01\x00\x05garbage in a handshake's record")]
    [InlineData(TlsPlacement.Both, "\x16\x03\x01\x00\x05garbage in a handshake's record")]
    public Task Handshake_PeerSpeaksSomethingElse_EndsAsStock(TlsPlacement placement, string text) =>
        AssertAsStockAsync(placement, async peer =>
    {
        await peer.SendAsync(Encoding.Latin1.GetBytes(text));
        return await BadInputServer.ReadToEndAsync(peer);
    });

    // Unread bytes make RST of stock Kestrel's end, and inside of TLS nothing of ours has begun. Outside the close is
    // ours: what the peer sends is discarded, and the end is FIN.
    [Theory]
    [InlineData(null)]
    [InlineData(TlsPlacement.Inside)]
    public async Task Handshake_FailedAndPeerGoesOnSending_StockAndInside_IsReset(TlsPlacement? placement)
    {
        await using var server = await BadInputServer.StartAsync(placement);
        await using (var peer = await server.ConnectAsync())
        {
            await peer.SendAsync(PlainHttp);
            peer.StartUpload();

            await peer.UploadPassesOrEndsAsync(long.MaxValue);
        }

        await server.AssertNothingIsLeftAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Handshake_FailedAndPeerGoesOnSending_OutsideOrBoth_IsDiscardedBehindFin(TlsPlacement placement)
    {
        const int lateBytes = 10_000_000; // More than both kernels hold.
        await using var server = await BadInputServer.StartAsync(placement);
        await using (var peer = await server.ConnectAsync())
        {
            await peer.SendAsync(PlainHttp);
            peer.StartUpload();

            Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
            var enough = peer.UploadedBytes + lateBytes;
            await peer.UploadPassesOrEndsAsync(enough);
            Assert.InRange(peer.UploadedBytes, enough, long.MaxValue);
        }

        await server.AssertNothingIsLeftAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Handshake_PeerIsSilentAndStays_OutsideOrBoth_EndsAfterLingerIdleTimeout(TlsPlacement placement)
    {
        await using var server = await BadInputServer.StartAsync(
            placement, static tls => tls.HandshakeTimeout = Short, lingerIdleTimeout: Short);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());

        await server.AssertNothingIsLeftAsync(besidesPeers: 1);
        await peer.SendUntilResetAsync();
    }

    [Theory]
    [InlineData(null)]
    [InlineData(TlsPlacement.Inside)]
    public async Task Handshake_PeerIsSilentAndStays_StockAndInside_EndsWithoutIt(TlsPlacement? placement)
    {
        await using var server = await BadInputServer.StartAsync(placement, static tls => tls.HandshakeTimeout = Short);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());

        await server.AssertNothingIsLeftAsync(besidesPeers: 1);
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task Handshake_RandomFirstBytes_EndAsStock(TlsPlacement placement) =>
        Assert.Equal(await StockSaw.Value, await SendRandomAsync(placement));

    private static async Task AssertAsStockAsync(
        TlsPlacement placement, Func<ScriptedPeer, Task<string>> act, Action<HttpsConnectionAdapterOptions>? tls =
        null) =>
        Assert.Equal(await ActAsync(null, act, tls), await ActAsync(placement, act, tls));

    private static async Task<string> ActAsync(
        TlsPlacement? placement, Func<ScriptedPeer, Task<string>> act, Action<HttpsConnectionAdapterOptions>? tls)
    {
        await using var server = await BadInputServer.StartAsync(placement, tls);
        string saw;
        await using (var peer = await server.ConnectAsync())
        {
            saw = await act(peer);
        }

        await server.AssertNothingIsLeftAsync();
        return saw;
    }

    private static string EndOf(string saw) => saw[saw.LastIndexOf(',')..];

    /// <returns>What the peer saw of TLS: the records themselves are encrypted and differ each time.</returns>
    private static async Task<string> ShakeHandsAsync(
        ScriptedPeer peer, SslProtocols protocol, Action<SslClientAuthenticationOptions>? authenticate = null)
    {
        using var limit = new CancellationTokenSource(TestServer.TestLimit);
        await using var tcp = new NetworkStream(peer.Socket, ownsSocket: false);
        await using var tls = new SslStream(tcp, leaveInnerStreamOpen: true);
        var options = TestCertificate.TrustingOptions;
        options.EnabledSslProtocols = protocol;
        authenticate?.Invoke(options);
        try
        {
            await tls.AuthenticateAsClientAsync(options, limit.Token);
            return $"{await tls.ReadAsync(new byte[1], limit.Token)} bytes";
        }
        catch (Exception exception) when (exception is IOException or AuthenticationException)
        {
            return $"{exception.Message} {exception.InnerException?.Message} {exception.InnerException?.InnerException?.Message}";
        }
    }

    private static async Task<byte[]> GetClientHelloAsync()
    {
        using var below = new HelloStream();
        await using var tls = new SslStream(below);
        await Assert.ThrowsAnyAsync<IOException>(() => tls.AuthenticateAsClientAsync("localhost"));
        return below.Written;
    }

    /// <returns>What each peer that half-closed saw, in the order of the seeds.</returns>
    private static async Task<string[]> SendRandomAsync(TlsPlacement? placement)
    {
        const int connections = 10_000;
        var saw = new string[connections];
        await using var server = await BadInputServer.StartAsync(placement);
        await Parallel.ForAsync(
            0, connections, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) =>
            saw[i] = await SendRandomAsync(server, new Random(i)));
        await server.AssertNothingIsLeftAsync();
        return saw;
    }

    private static async Task<string> SendRandomAsync(BadInputServer server, Random random)
    {
        var bytes = new byte[random.Next(1, 2048)];
        random.NextBytes(bytes);
        if (random.Next(4) == 0)
        {
            "\x16\x03\x01"u8[..Math.Min(3, bytes.Length)].CopyTo(bytes); // What follows is taken for a handshake.
        }

        var ending = random.Next(4);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(bytes);
        switch (ending)
        {
            case 0:
                return "closed";
            case 1:
                peer.Reset();
                return "reset";
            default:
                peer.HalfClose();
                return await BadInputServer.ReadToEndAsync(peer);
        }
    }
}
