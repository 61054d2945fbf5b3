using System.Buffers.Binary;
using System.Net;
using System.Security.Cryptography;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>HTTP/2, over TLS by ALPN and in plaintext by prior knowledge: streams are Kestrel's, and a stop lets all of them finish.</summary>
public class Http2Tests
{
    private const int StreamCount = 20; // 1.5 MB each: so many that all windows are full.

    public static TheoryData<TlsPlacement, bool> Servers { get; } = new MatrixTheoryData<TlsPlacement, bool>(Enum.GetValues<TlsPlacement>(), [false, true]);

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task Streams_ManyAtOnceOnOneConnection_AreAnsweredWhole(TlsPlacement placement)
    {
        var connections = new HashSet<string>();
        await using var server = await HttpServer.StartAsync(
            context =>
            {
                lock (connections)
                {
                    connections.Add(context.Connection.Id);
                }

                return Answers.SendReplyAsync(context);
            },
            placement,
            ProtocolsOf(placement));
        using (var client = CreateClient(server, placement))
        {
            var answers = await Task.WhenAll(Enumerable.Range(0, StreamCount).Select(_ => HashAsync(client))).InTimeAsync();
            Assert.All(answers, static hash => Assert.Equal(Reply.Hash, hash));
            Assert.Single(connections);
        }

        await server.AssertEndedByPeerAsync();
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_ManyStreamsInFlight_AreAnsweredWhole(TlsPlacement placement, bool withDrain)
    {
        using var serving = new CountdownEvent(StreamCount);
        var allServing = new TaskCompletionSource();
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                if (serving.Signal())
                {
                    allServing.SetResult();
                }

                await asked.Task.InTimeAsync();
                await Answers.SendReplyAsync(context);
            },
            placement,
            ProtocolsOf(placement),
            asked.SetResult,
            builder => AddDrain(builder, withDrain));
        using var client = CreateClient(server, placement);
        var answers = Task.WhenAll(Enumerable.Range(0, StreamCount).Select(_ => HashAsync(client)));
        await allServing.Task.InTimeAsync();

        var stopping = server.StopAsync();

        Assert.All(await answers.InTimeAsync(), static hash => Assert.Equal(Reply.Hash, hash));
        await stopping; // The client closes by itself after GOAWAY.
        await server.AssertEndedByPeerAsync();
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_StreamInFlight_SeesGoAwayThenItsWholeAnswer(TlsPlacement placement, bool withDrain)
    {
        var serving = new TaskCompletionSource();
        var goOn = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                serving.SetResult();
                await goOn.Task.InTimeAsync();
                await Answers.SendReplyAsync(context);
            },
            placement,
            ProtocolsOf(placement),
            build: builder => AddDrain(builder, withDrain));
        await using var peer = await Http2Peer.ConnectAsync(server, placement);
        var stream = await peer.GetAsync();
        await serving.Task.InTimeAsync();

        var stopping = server.StopAsync();
        await peer.ReadUntilAsync(static frame => frame.Type == Http2Frame.GoAway);
        goOn.SetResult();

        var frames = await peer.ReadUntilAsync(frame => frame.StreamId == stream && frame.EndsStream);
        var body = frames.Where(static frame => frame.Type == Http2Frame.Data).SelectMany(static frame => frame.Payload).ToArray();
        Assert.Equal(Reply.Hash, Convert.ToHexStringLower(SHA256.HashData(body)));
        Assert.DoesNotContain(frames, static frame => frame.Type == Http2Frame.ResetStream);
        await peer.HalfCloseAsync(); // As clients do now. Kestrel itself only looks whether it was the last stream when something arrives.
        Assert.Equal(PeerSaw.Eof, (await peer.ReadToEndAsync()).End);
        await stopping;
        await server.AssertEndedByPeerAsync();
    }

    [Theory]
    [MemberData(nameof(Servers))]
    public async Task Stop_IdleConnection_SeesGoAwayThenFin(TlsPlacement placement, bool withDrain)
    {
        await using var server = await HttpServer.StartAsync(Answers.SendReplyAsync, placement, ProtocolsOf(placement), build: builder => AddDrain(builder, withDrain));
        await using var peer = await Http2Peer.ConnectAsync(server, placement);
        await peer.PingAsync();

        var stopping = server.StopAsync();

        var frames = await peer.ReadUntilAsync(static frame => frame.Type == Http2Frame.GoAway);
        var (rest, end) = await peer.ReadToEndAsync(); // Kestrel says GOAWAY once or twice.
        Assert.Equal(PeerSaw.Eof, end);
        Assert.InRange(rest, 0, 2 * (Http2Frame.HeadBytes + 8));
        Assert.Equal(0, BinaryPrimitives.ReadInt32BigEndian(frames[^1].Payload.AsSpan(4)));
        await peer.HalfCloseAsync();
        await stopping;
        await server.AssertGracefulAsync();
    }

    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task RequestAborted_PeerLeaves_IsTriggeredOnEveryStream(TlsPlacement placement)
    {
        const int streamCount = 5;
        using var serving = new CountdownEvent(streamCount);
        using var aborted = new CountdownEvent(streamCount);
        var allServing = new TaskCompletionSource();
        var allAborted = new TaskCompletionSource();
        await using var server = await HttpServer.StartAsync(
            async context =>
            {
                var reached = new TaskCompletionSource();
                await using var registration = context.RequestAborted.UnsafeRegister(_ => reached.SetResult(), null);
                if (serving.Signal())
                {
                    allServing.SetResult();
                }

                await reached.Task.InTimeAsync();
                if (aborted.Signal())
                {
                    allAborted.SetResult();
                }
            },
            placement,
            ProtocolsOf(placement));
        await using (var peer = await Http2Peer.ConnectAsync(server, placement))
        {
            for (var i = 0; i < streamCount; i++)
            {
                await peer.GetAsync();
            }

            await allServing.Task.InTimeAsync();
        }

        await allAborted.Task.InTimeAsync();
        await server.AssertEndedByPeerAsync();
    }

    private static HttpProtocols ProtocolsOf(TlsPlacement placement) => placement == TlsPlacement.Plaintext ? HttpProtocols.Http2 : HttpProtocols.Http1AndHttp2;

    private static void AddDrain(WebApplicationBuilder builder, bool withDrain)
    {
        if (withDrain)
        {
            TestServer.AddPatientDrain(builder);
        }
    }

    private static HttpClient CreateClient(TestServer server, TlsPlacement placement) =>
        new(new SocketsHttpHandler { SslOptions = TestCertificate.TrustingOptions })
        {
            BaseAddress = server.Address(placement),
            DefaultRequestVersion = HttpVersion.Version20,
            DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
            Timeout = TestServer.TestLimit,
        };

    private static async Task<string> HashAsync(HttpClient client)
    {
        using var response = await client.GetAsync((Uri?)null);
        Assert.Equal((HttpStatusCode.OK, HttpVersion.Version20), (response.StatusCode, response.Version));
        return Convert.ToHexStringLower(SHA256.HashData(await response.Content.ReadAsByteArrayAsync()));
    }
}
