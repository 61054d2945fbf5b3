using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.FunctionalTests;

/// <summary>
/// Why the library exists, measured where the peer stands: the same handlers and the same peers, with <c>UseGracefulShutdown()</c> and without. Stock Kestrel's losses
/// are asserted as well.
/// </summary>
public class LossTests
{
    private const int ReplyBytes = 1_500_000; // More than a receive window, less than window and send buffer together: more would hide the loss.

    private const string KestrelHasChanged =
        "Stock Kestrel lost nothing. If this happens again and again, Kestrel has changed: the reason for this library, and its README, must be measured anew.";

    [Fact]
    public async Task Reply_PeerOnlyReads_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task Reply_PeerOnlyReadsFromStockKestrel_ArrivesWhole()
    {
        await using var server = await TestServer.StartStockAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task Reply_PeerStillUploading_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();
        await UploadAsync(peer);

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task Reply_PeerStillUploadingToStockKestrel_IsStillCutShort()
    {
        await using var server = await TestServer.StartStockAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();
        await UploadAsync(peer);

        Assert.True((await peer.ReadToEndAsync()).Bytes < ReplyBytes, KestrelHasChanged);
    }

    [Fact]
    public async Task CompletedOutput_PeerStillUploading_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(SendReplyThenReadOnAsync);
        await using var peer = await server.ConnectAsync();
        await UploadAsync(peer);

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.StopUploadAsync();
        peer.HalfClose();
        var result = await server.NextResultAsync();
        Assert.Equal(CloseOutcome.Graceful, result.Outcome);
        Assert.Equal(0, result.DiscardedBytes); // The handler read it all.
    }

    [Fact]
    public async Task CompletedOutput_PeerStillUploadingToStockKestrel_IsStillCutShort()
    {
        var readEnded = new TaskCompletionSource<Exception?>();
        await using var server = await TestServer.StartStockAsync(async connection =>
            readEnded.SetResult(await Record.ExceptionAsync(() => SendReplyThenReadOnAsync(connection))));
        await using var peer = await server.ConnectAsync();
        await UploadAsync(peer);

        Assert.True((await peer.ReadToEndAsync()).Bytes < ReplyBytes, KestrelHasChanged);
        Assert.IsType<ConnectionAbortedException>(await readEnded.Task.InTimeAsync());
    }

    [Fact]
    public async Task ReplyOnTheSocketItself_PeerStillUploading_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(SendReplyOnSocketThenReadAsync);
        await using var peer = await server.ConnectAsync();
        await UploadAsync(peer);

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.StopUploadAsync();
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task ReplyOnTheSocketItself_PeerStillUploadingToStockKestrel_ArrivesWhole()
    {
        await using var server = await TestServer.StartStockAsync(SendReplyOnSocketThenReadAsync);
        await using var peer = await server.ConnectAsync();
        await UploadAsync(peer);

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task Reply_PeerSendsFourMoreBytesAfterOurFin_ArrivesWhole()
    {
        await using var server = await TestServer.StartAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await peer.SendAsync("more"u8.ToArray());
        peer.HalfClose();

        var result = await server.NextResultAsync();
        Assert.Equal(CloseOutcome.Graceful, result.Outcome);
        Assert.Equal(4, result.DiscardedBytes);
        Assert.Equal(0, result.UnacknowledgedBytes);
        Assert.Equal(SocketError.Success, ErrorOf(peer));
    }

    [Fact]
    public async Task Reply_PeerSendsFourMoreBytesAfterStockKestrelsFin_IsAnsweredWithReset()
    {
        await using var server = await TestServer.StartStockAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        await NoDescriptorLeftAsync(server);
        await peer.SendAsync("more"u8.ToArray());

        await Eventually.IsTrueAsync(() => ErrorOf(peer) != SocketError.Success);
    }

    [Fact]
    public async Task Reply_PeerSendsFourMoreBytesBeforeItReads_ArrivesWhole()
    {
        var handlerEnds = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await SendReplyAsync(connection);
            handlerEnds.SetResult();
        });
        await using var peer = await server.ConnectAsync();
        await handlerEnds.Task.InTimeAsync();

        await peer.SendAsync("more"u8.ToArray());
        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();

        var result = await server.NextResultAsync();
        Assert.Equal(CloseOutcome.Graceful, result.Outcome);
        Assert.Equal(4, result.DiscardedBytes);
    }

    [Fact]
    public async Task Reply_PeerSendsFourMoreBytesToStockKestrelBeforeItReads_IsStillCutShort()
    {
        await using var server = await TestServer.StartStockAsync(SendReplyAsync);
        await using var peer = await server.ConnectAsync(SmallWindow);
        await NoDescriptorLeftAsync(server);

        await peer.SendAsync("more"u8.ToArray());

        Assert.True((await peer.ReadToEndAsync()).Bytes < ReplyBytes, KestrelHasChanged);
    }

    // Goes on uploading, and reads only after so much of it that no kernel and no pipe can hold it: on the way to there, stock Kestrel has closed, and the upload met it.
    private static Task UploadAsync(ScriptedPeer peer)
    {
        peer.StartUpload();
        return peer.UploadPassesOrEndsAsync(64 * 1024 * 1024);
    }

    private static Task SendReplyAsync(ConnectionContext connection) => connection.SendAsync(ReplyBytes);

    private static async Task SendReplyThenReadOnAsync(ConnectionContext connection)
    {
        await connection.SendAsync(ReplyBytes);
        await connection.Transport.Output.CompleteAsync();
        await connection.ReadToEndAsync();
    }

    private static async Task SendReplyOnSocketThenReadAsync(ConnectionContext connection)
    {
        var socket = connection.Features.Get<IConnectionSocketFeature>()!.Socket;
        for (ReadOnlyMemory<byte> left = new byte[ReplyBytes]; !left.IsEmpty;)
        {
            left = left[await socket.SendAsync(left)..];
        }

        socket.Shutdown(SocketShutdown.Send);
        await connection.ReadToEndAsync();
    }

    // The reply must not fit into the peer's kernel: what is already there cannot be lost.
    private static void SmallWindow(Socket socket) => socket.ReceiveBufferSize = 64 * 1024;

    // The server has closed its socket, and its kernel finishes on its own. Not so a connection that no accept has fetched yet: it is established.
    private static Task NoDescriptorLeftAsync(TestServer server) => Eventually.IsTrueAsync(() =>
        KernelSocket.OnPort(server.Port).Any(socket => socket is { State: KernelSocket.FinWait1 or KernelSocket.FinWait2, HasDescriptor: false }));

    private static SocketError ErrorOf(ScriptedPeer peer) => (SocketError)peer.Socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
}
