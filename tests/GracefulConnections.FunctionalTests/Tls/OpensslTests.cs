using System.Net;
using GracefulConnections.FunctionalTests.RealClients;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>
/// <c>openssl s_client</c>, which names what it misses: an end without close_notify is "unexpected eof while reading".
/// </summary>
public sealed class OpensslTests : IDisposable
{
    private const string Tls12 = "-tls1_2";
    private const string Tls13 = "-tls1_3";
    private const string IgnoreEnd = "-ign_eof"; // Otherwise it closes when its own input ends.
    private const string Quiet = "-quiet"; // Implies the other, and prints nothing but what it received.
    private const string UnexpectedEnd = "unexpected eof while reading";

    private readonly string _authority = TestCertificate.WritePem(TestCertificate.Server);
    private readonly string _messages = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.txt");

    public static TheoryData<TlsPlacement, string, string> WithCloseNotify =>
        Cross([TlsPlacement.Inside, TlsPlacement.Both]);

    public static TheoryData<TlsPlacement, string, string> Placements =>
        Cross([TlsPlacement.Inside, TlsPlacement.Outside, TlsPlacement.Both]);

    public static TheoryData<string, string> ProtocolsAndModes =>
        new() { { Tls12, IgnoreEnd }, { Tls12, Quiet }, { Tls13, IgnoreEnd }, { Tls13, Quiet } };

    public void Dispose()
    {
        File.Delete(_authority);
        File.Delete(_messages);
    }

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task ServerEnds_InsideOrBoth_ReplyIsWholeAndCloseNotifyGoesBothWays(
        TlsPlacement placement, string protocol, string mode)
    {
        await using var server = await StartAsync(placement, Reply.SendAsync);
        await using var client = Start(server.Port, protocol, mode);

        AssertIsWhole(mode, await client.ReadOutputAsync());

        Assert.Equal((0, ""), WithoutVerification(await client.WaitForExitAsync()));
        Assert.Equal(["<<< close_notify", ">>> close_notify"], ReadAlerts());
        await AssertGracefulAsync(server);
    }

    [Theory]
    [MemberData(nameof(WithCloseNotify))]
    public async Task ServerEnds_InsideOrBoth_ClientStillSending_ReplyIsWholeAndCloseNotifyArrives(
        TlsPlacement placement, string protocol, string mode)
    {
        await using var server = await StartAsync(placement, async connection =>
        {
            await connection.ReadExactlyAsync(1);
            await Reply.SendAsync(connection);
        });
        await using var client = Start(server.Port, protocol, mode);
        client.StartUpload();

        AssertIsWhole(mode, await client.ReadOutputAsync());

        Assert.Equal((0, ""), WithoutVerification(await client.WaitForExitAsync()));
        Assert.Equal(["<<< close_notify", ">>> close_notify"], ReadAlerts());
        await AssertGracefulAsync(server);
    }

    [Theory]
    [MemberData(nameof(ProtocolsAndModes))]
    public async Task ServerEnds_Outside_ReplyIsWholeAndTheEndIsUnexpected(string protocol, string mode)
    {
        await using var server = await StartAsync(TlsPlacement.Outside, Reply.SendAsync);
        await using var client = Start(server.Port, protocol, mode);

        AssertIsWhole(mode, await client.ReadOutputAsync());

        var (_, errors) = await client.WaitForExitAsync();
        Assert.Contains(UnexpectedEnd, errors, StringComparison.Ordinal);
        Assert.DoesNotContain("<<< close_notify", ReadAlerts());
        await AssertGracefulAsync(server);
    }

    [Theory]
    [MemberData(nameof(ProtocolsAndModes))]
    public async Task ServerEnds_StockKestrel_TheEndIsUnexpected(string protocol, string mode)
    {
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) => endpoint.UseHttps(TestCertificate.Server).Run(connection => Reply.SendAsync(connection)));
        await using var client = Start(server.Port, protocol, mode);

        await client.ReadOutputAsync();

        var (_, errors) = await client.WaitForExitAsync();
        Assert.Contains(UnexpectedEnd, errors, StringComparison.Ordinal);
        Assert.DoesNotContain("<<< close_notify", ReadAlerts());
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task HandlerThrowsWithAbortOnHandlerFault_ClientSeesThatSomethingIsMissing(
        TlsPlacement placement, string protocol, string mode)
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
        await using var client = Start(server.Port, protocol, mode);
        await client.WriteInputAsync("request\n"u8.ToArray());

        await client.ReadOutputAsync();

        var (exitCode, errors) = await client.WaitForExitAsync();
        Assert.NotEqual(0, exitCode);
        Assert.Contains("read:errno=104", errors, StringComparison.Ordinal); // ECONNRESET
        Assert.DoesNotContain("<<< close_notify", ReadAlerts());
        Assert.Equal(CloseOutcome.Aborted, (await server.NextResultAsync()).Outcome);
    }

    private static TheoryData<TlsPlacement, string, string> Cross(TlsPlacement[] placements)
    {
        var data = new TheoryData<TlsPlacement, string, string>();
        foreach (var placement in placements)
        {
            foreach (var protocol in (string[])[Tls12, Tls13])
            {
                data.Add(placement, protocol, IgnoreEnd);
                data.Add(placement, protocol, Quiet);
            }
        }

        return data;
    }

    private static Task<TestServer> StartAsync(
        TlsPlacement placement, Func<ConnectionContext, Task> handler, bool abortOnHandlerFault = false) =>
        TestServer.StartTlsAsync(placement, handler, options =>
        {
            options.LingerIdleTimeout = 2 * TestServer.TestLimit;
            options.AbortOnHandlerFault = abortOnHandlerFault;
        });

    private static async Task AssertGracefulAsync(TestServer server)
    {
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.Graceful, 0L),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    private static void AssertIsWhole(string mode, byte[] output)
    {
        if (mode == Quiet)
        {
            Assert.True(output.AsSpan().SequenceEqual(Reply.Bytes), $"{output.Length} bytes arrived.");
            return;
        }

        Assert.True(
            output.AsSpan().IndexOf(Reply.Bytes) >= 0, $"Not the whole reply is in {output.Length} bytes of output.");
    }

    // It tells on its standard error that the certificate is good.
    private static (int ExitCode, string Errors) WithoutVerification((int ExitCode, string Errors) exit) => (
        exit.ExitCode,
        string.Join(
            '\n', exit.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(
            static line =>
            !line.StartsWith("depth=", StringComparison.Ordinal)
            && !line.StartsWith("verify return:", StringComparison.Ordinal))));

    private ChildProcess Start(int port, string protocol, string mode) => ChildProcess.Start(
        RequiredProgram.Find("openssl", "openssl"),
        "s_client", "-connect", $"127.0.0.1:{port}", "-servername", "localhost", protocol, mode, "-CAfile", _authority,
            "-verify_return_error", "-nocommands", "-msg", "-msgfile", _messages);

    // "<<< TLS 1.3, Alert [length 0002], warning close_notify"
    private IEnumerable<string> ReadAlerts() => File.ReadLines(_messages)
        .Where(static line => line.Contains(", Alert ", StringComparison.Ordinal))
        .Select(static line => $"{line[..3]} {line[(line.LastIndexOf(' ') + 1)..]}");
}
