using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>Stream clients that half-close when their input ends, and wait for the reply.</summary>
public abstract class HalfClosingClientTests : StreamClientTests
{
    [Fact]
    public async Task Reply_ClientHalfClosesFirst_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(Reply.SendAtEndOfInputAsync);
        await using var client = Start(server.Port);
        await client.WriteInputAsync("request\n"u8.ToArray());
        await client.CloseInputAsync();

        Assert.Equal(Reply.Bytes, await client.ReadOutputAsync());
        Assert.Equal((0, ""), await client.WaitForExitAsync());
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }
}
