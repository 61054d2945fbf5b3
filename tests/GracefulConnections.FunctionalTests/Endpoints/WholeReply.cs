using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Endpoints;

/// <summary>
/// What every endpoint must do: a reply to a peer that is still sending arrives whole, and ends with FIN.
/// </summary>
internal static class WholeReply
{
    public const int Bytes = 1_500_000; // As in LossTests: stock Kestrel would lose most of it.

    /// <summary>A handler that answers the first byte.</summary>
    public static async Task SendAsync(ConnectionContext connection)
    {
        await connection.ReadExactlyAsync(1);
        await connection.SendAsync(Bytes);
    }

    // A slow machine is no silent peer.
    public static void BePatient(GracefulCloseOptions options) => options.LingerIdleTimeout = 2 * TestServer.TestLimit;

    /// <summary>Asserts it on a plaintext endpoint.</summary>
    public static async Task AssertArrivesAsync(TestServer server, EndPoint endPoint)
    {
        await using var peer = await ScriptedPeer.ConnectAsync(endPoint);
        await AssertArrivesAsync(server, peer);
    }

    /// <summary>Asserts it on a plaintext endpoint.</summary>
    public static async Task AssertArrivesAsync(TestServer server, ScriptedPeer peer)
    {
        peer.StartUpload();

        Assert.Equal((Bytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        // So that something comes which nobody reads: the sends before may have been few.
        await peer.UploadPassesOrEndsAsync(peer.UploadedBytes + (2 * ScriptedPeer.UploadChunkBytes));
        await peer.StopUploadAsync();
        peer.HalfClose();
        await AssertClosedAsync(server);
    }

    /// <summary>Asserts it on an endpoint with TLS.</summary>
    /// <param name="server">The server.</param>
    /// <param name="endPoint">Its endpoint.</param>
    /// <param name="end">How the plaintext ends, which depends on where <c>UseGracefulShutdown()</c> stands.</param>
    /// <param name="request">What the peer sends first.</param>
    public static async Task AssertArrivesOverTlsAsync(
        TestServer server, EndPoint endPoint, TlsPeerSaw end, ReadOnlyMemory<byte> request = default)
    {
        await using var peer = await TlsPeer.ConnectAsync(endPoint);
        await peer.SendAsync(request);
        using var enough = new CancellationTokenSource();
        var uploading = peer.UploadAsync(enough.Token);

        var (bytes, seen) = await peer.ReadToEndAsync();

        Assert.Equal(end, seen);
        Assert.InRange(bytes, Bytes, request.IsEmpty ? Bytes : Bytes + 1000); // HTTP has a head.
        await enough.CancelAsync();
        await uploading.InTimeAsync();
        peer.Tcp.HalfClose();
        await AssertClosedAsync(server);
    }

    private static async Task AssertClosedAsync(TestServer server)
    {
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerCompleted, CloseOutcome.Graceful, 0L),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
        Assert.NotEqual(0, result.DiscardedBytes);
    }
}
