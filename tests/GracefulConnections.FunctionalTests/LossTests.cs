using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Why the library exists, measured where the peer stands.</summary>
public class LossTests
{
    private const int ReplyBytes = 1_500_000; // More than a receive window, less than window and send buffer together: more would hide the loss.

    [Fact]
    public async Task Reply_PeerStillUploading_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();
        peer.StartUpload();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    private static async Task SendReplyAsync(ConnectionContext connection) => await connection.Transport.Output.WriteAsync(new byte[ReplyBytes]);
}
