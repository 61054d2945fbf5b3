using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>Python's <c>ssl</c> module, told not to take an end without close_notify for an end.</summary>
public sealed class PythonSslTests : IDisposable
{
    // Who uploads does so in one thread: the server discards, so a client that reads later must not be blocked.
    private const string Client = """
        import hashlib, socket, ssl, sys

        scenario, authority, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
        context = ssl.create_default_context(cafile=authority)
        tcp = socket.create_connection(("127.0.0.1", port), timeout=60)
        s = context.wrap_socket(tcp, server_hostname="localhost", suppress_ragged_eofs=False)
        s.sendall(b"r")
        if scenario == "uploads":
            s.sendall(bytes(8_000_000))

        if scenario == "ends-first":
            s.unwrap()
            print("unwrapped", flush=True)
            sys.exit()

        reply = b""
        end = "clean"
        try:
            while data := s.recv(65536):
                reply += data
        except (ConnectionResetError, ssl.SSLEOFError):
            end = "cut off" # Which of the two tells of RST depends on the version.

        if end == "clean":
            s.unwrap().close()
            end += " unwrapped"
        print(len(reply), hashlib.sha256(reply).hexdigest(), end, flush=True)
        """;

    private readonly string _authority = TestCertificate.WritePem(TestCertificate.Server);

    public static TheoryData<TlsPlacement> WithCloseNotify => [TlsPlacement.Inside, TlsPlacement.Both];

    public static TheoryData<TlsPlacement> Placements => [TlsPlacement.Inside, TlsPlacement.Outside, TlsPlacement.Both];

    public void Dispose() => File.Delete(_authority);

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task ServerEnds_InsideOrBoth_ReplyIsWholeAndTheEndIsClean(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, ReplyToRequestAsync);
        await using var client = Start("reads", server.Port);

        Assert.Equal($"{Reply.Length} {Reply.Hash} clean unwrapped", await client.ReadLineAsync());

        await AssertEndedAsync(CloseOutcome.Graceful, server, client);
    }

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task ServerEnds_InsideOrBoth_ClientStillSending_ReplyIsWholeAndTheEndIsClean(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, ReplyToRequestAsync);
        await using var client = Start("uploads", server.Port);

        Assert.Equal($"{Reply.Length} {Reply.Hash} clean unwrapped", await client.ReadLineAsync());

        await AssertEndedAsync(CloseOutcome.Graceful, server, client);
    }

    [Fact]
    public async Task ServerEnds_Outside_ReplyIsWholeAndTheEndIsRagged()
    {
        await using var server = await StartAsync(TlsPlacement.Outside, ReplyToRequestAsync);
        await using var client = Start("uploads", server.Port);

        Assert.Equal($"{Reply.Length} {Reply.Hash} cut off", await client.ReadLineAsync());

        await AssertEndedAsync(CloseOutcome.Graceful, server, client);
    }

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task ClientEndsFirst_InsideOrBoth_ItsUnwrapCompletes(TlsPlacement placement)
    {
        await using var server = await StartAsync(placement, connection => connection.ReadToEndAsync());
        await using var client = Start("ends-first", server.Port);

        Assert.Equal("unwrapped", await client.ReadLineAsync());

        await AssertEndedAsync(CloseOutcome.Graceful, server, client);
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task HandlerThrowsWithAbortOnHandlerFault_ClientSeesThatSomethingIsMissing(TlsPlacement placement)
    {
        await using var server = await StartAsync(
            placement,
            async connection =>
            {
                await connection.SendAsync(1000);
                await connection.ReadExactlyAsync(1);
                throw new InvalidOperationException("A part of a reply.");
            },
            abortOnHandlerFault: true);
        await using var client = Start("reads", server.Port);

        Assert.EndsWith(" cut off", await client.ReadLineAsync(), StringComparison.Ordinal);

        await AssertEndedAsync(CloseOutcome.Aborted, server, client);
    }

    private static async Task ReplyToRequestAsync(ConnectionContext connection)
    {
        await connection.ReadExactlyAsync(1);
        await Reply.SendAsync(connection);
    }

    private static Task<TestServer> StartAsync(
        TlsPlacement placement, Func<ConnectionContext, Task> handler, bool abortOnHandlerFault = false) =>
        TestServer.StartTlsAsync(placement, handler, options =>
        {
            options.LingerIdleTimeout = 2 * TestServer.TestLimit;
            options.AbortOnHandlerFault = abortOnHandlerFault;
        });

    private static async Task AssertEndedAsync(CloseOutcome outcome, TestServer server, ChildProcess client)
    {
        Assert.Equal((0, ""), await client.WaitForExitAsync());
        Assert.Equal(outcome, (await server.NextResultAsync()).Outcome);
    }

    private ChildProcess Start(string scenario, int port) =>
        ChildProcess.Start(RequiredProgram.Find("python3", "python3"), "-c", Client, scenario, _authority, $"{port}");
}
