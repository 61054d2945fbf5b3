using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>Programs that connect their standard input and output to a server: each must get the whole reply, however it ends the connection.</summary>
public abstract class StreamClientTests
{
    [Fact]
    public async Task Reply_ClientStillSending_ArrivesWhole()
    {
        var connection = new ServedConnection(Reply.SendAsync);
        await using var server = await TestServer.StartAsync(connection.HandleAsync);
        await using var client = Start(server.Port);
        client.StartUpload();
        await connection.HandlerReturned; // The client's output is blocked until now, so it reads late.

        Assert.Equal(Reply.Bytes, await client.ReadOutputAsync(Reply.Length));
        await client.CloseInputAsync();
        Assert.Empty(await client.ReadOutputAsync());
        Assert.Equal((0, ""), await client.WaitForExitAsync());
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task Reply_ClientStillSendingToStockKestrel_IsCutShort()
    {
        // On loopback a client is sometimes fast enough.
        for (var attempt = 0; attempt < Reply.AttemptsToLose; attempt++)
        {
            var connection = new ServedConnection(Reply.SendAsync);
            await using var server = await TestServer.StartStockAsync(connection.HandleAsync);
            await using var client = Start(server.Port);
            client.StartUpload();
            await connection.Closed;
            if ((await client.ReadOutputAsync(Reply.Length)).Length < Reply.Length)
            {
                return;
            }
        }

        Assert.Fail("No client lost anything: then stock Kestrel has changed, or these tests prove nothing.");
    }

    [Fact]
    public async Task Reply_ClientLeavesEarly_EndsAsResetAndTheNextClientIsServed()
    {
        await using var server = await TestServer.StartAsync(Reply.SendAsync);
        await using (var client = Start(server.Port))
        {
            client.StartUpload();
            Assert.Equal(Reply.Bytes[..1000], await client.ReadOutputAsync(1000));
            client.Kill();
            Assert.Equal(CloseOutcome.PeerReset, (await server.NextResultAsync()).Outcome);
        }

        await using var next = Start(server.Port);
        next.StartUpload();
        Assert.Equal(Reply.Bytes, await next.ReadOutputAsync(Reply.Length));
    }

    /// <summary>Starts the client, connected to <paramref name="port"/>.</summary>
    private protected abstract ChildProcess Start(int port);
}
