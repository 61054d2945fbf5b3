using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>Python's <c>socket</c> module, and the ways in which its users end a connection.</summary>
public class PythonSocketTests
{
    // The process stays after the connection's end, until its input ends: so it was not the process's end that closed the socket.
    private const string Client = """
        import gc, hashlib, socket, sys, threading

        gc.disable()
        scenario, ending, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
        s = socket.create_connection(("127.0.0.1", port))
        enough = threading.Event()

        def upload():
            try:
                while not enough.is_set():
                    s.sendall(bytes(65536))
            except OSError:
                pass

        uploading = threading.Thread(target=upload)
        if scenario == "still-sending":
            uploading.start()
        if scenario == "half-closes":
            s.sendall(b"request")
            s.shutdown(socket.SHUT_WR)

        sys.stdin.readline()
        reply = b""
        reset = ""
        try:
            while data := s.recv(1000 if scenario == "leaves-early" else 65536):
                reply += data
                if scenario == "leaves-early":
                    break
        except ConnectionResetError:
            reset = " reset"

        enough.set()
        if scenario == "still-sending":
            uploading.join()

        if ending == "shutdown":
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass # Both sides were shut down before: Linux calls that not connected.
        if ending == "leak":
            cycle = [s]
            cycle.append(cycle)
            del s, cycle, upload, uploading
            gc.collect()
        else:
            s.close()

        print(len(reply), hashlib.sha256(reply).hexdigest() + reset, flush=True)
        sys.stdin.read()
        """;

    public static TheoryData<string> Endings => ["close", "shutdown", "leak"];

    [Theory]
    [MemberData(nameof(Endings))]
    public async Task Reply_ClientStillSending_ArrivesWhole(string ending)
    {
        var connection = new ServedConnection(Reply.SendAsync);
        await using var server = await TestServer.StartAsync(connection.HandleAsync);
        await using var client = Start("still-sending", ending, server.Port);
        await connection.HandlerReturned;
        await client.WriteInputAsync("read\n"u8.ToArray());

        Assert.Equal($"{Reply.Length} {Reply.Hash}", await client.ReadLineAsync());
        await AssertEndedAsync(CloseOutcome.Graceful, server, client);
    }

    [Theory]
    [MemberData(nameof(Endings))]
    public async Task Reply_ClientHalfClosesFirst_ArrivesWhole(string ending)
    {
        var connection = new ServedConnection(Reply.SendAtEndOfInputAsync);
        await using var server = await TestServer.StartAsync(connection.HandleAsync);
        await using var client = Start("half-closes", ending, server.Port);
        await connection.HandlerReturned;
        await client.WriteInputAsync("read\n"u8.ToArray());

        Assert.Equal($"{Reply.Length} {Reply.Hash}", await client.ReadLineAsync());
        await AssertEndedAsync(CloseOutcome.Graceful, server, client);
    }

    [Theory]
    [MemberData(nameof(Endings))]
    public async Task Reply_ClientLeavesEarly_EndsAsReset(string ending)
    {
        var connection = new ServedConnection(Reply.SendAsync);
        await using var server = await TestServer.StartAsync(connection.HandleAsync);
        await using var client = Start("leaves-early", ending, server.Port);
        await connection.HandlerReturned;
        await client.WriteInputAsync("read\n"u8.ToArray());

        Assert.StartsWith("1000 ", await client.ReadLineAsync(), StringComparison.Ordinal);
        await AssertEndedAsync(CloseOutcome.PeerReset, server, client);
    }

    [Fact]
    public async Task Reply_ClientStillSendingToStockKestrel_IsCutShort()
    {
        // On loopback a client is sometimes fast enough.
        for (var attempt = 0; attempt < Reply.AttemptsToLose; attempt++)
        {
            var connection = new ServedConnection(Reply.SendAsync);
            await using var server = await TestServer.StartStockAsync(connection.HandleAsync);
            await using var client = Start("still-sending", "close", server.Port);
            await connection.Closed;
            await client.WriteInputAsync("read\n"u8.ToArray());
            if (!(await client.ReadLineAsync())!.StartsWith($"{Reply.Length} ", StringComparison.Ordinal))
            {
                return;
            }
        }

        Assert.Fail("No client lost anything: then stock Kestrel has changed, or these tests prove nothing.");
    }

    private static ChildProcess Start(string scenario, string ending, int port) =>
        ChildProcess.Start(RequiredProgram.Find("python3", "python3"), "-c", Client, scenario, ending, $"{port}");

    private static async Task AssertEndedAsync(CloseOutcome outcome, TestServer server, ChildProcess client)
    {
        Assert.Equal(outcome, (await server.NextResultAsync()).Outcome);
        Assert.False(client.HasExited, "The client must outlive its connection for this test to mean anything.");
        await client.CloseInputAsync();
        Assert.Equal((0, ""), await client.WaitForExitAsync());
    }
}
