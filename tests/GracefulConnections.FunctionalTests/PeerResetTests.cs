using System.Threading.Channels;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>A peer's reset is never taken for its FIN.</summary>
public class PeerResetTests
{
    private const int AttemptCount = 300;

    // The kernel tells of a reset once. If that was our send, the transport's receive sees nothing but an end.
    [Fact]
    public async Task PeerReset_WhileWeSend_IsNeverReadAsTheEndOfTheInput()
    {
        var ends = Channel.CreateUnbounded<string>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var sending = SendUntilOverAsync(connection);
            try
            {
                await connection.ReadToEndAsync();
                ends.Writer.TryWrite("end of input");
            }
            catch (ConnectionResetException)
            {
                ends.Writer.TryWrite("reset");
            }

            await sending;
        });

        for (var i = 0; i < AttemptCount; i++)
        {
            await using var peer = await server.ConnectAsync();
            await peer.ReadExactlyAsync(100_000 + (i * 1000));
            peer.Reset();
            Assert.Equal(CloseOutcome.PeerReset, (await server.NextResultAsync()).Outcome);
            var end = await ends.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask().InTimeAsync();
            Assert.Equal("reset", end);
        }
    }

    private static async Task SendUntilOverAsync(ConnectionContext connection)
    {
        while (!(await connection.SendAsync(1000)).IsCompleted)
        {
        }
    }
}
