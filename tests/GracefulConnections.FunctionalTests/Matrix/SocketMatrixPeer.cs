using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>A plain socket, TCP or Unix.</summary>
internal sealed class SocketMatrixPeer(ScriptedPeer peer) : MatrixPeer
{
    public override Task SendAsync(int count) => peer.SendAsync(new byte[count]);

    public override Task ReceiveExactlyAsync(int count) => peer.ReadExactlyAsync(count);

    public override async Task<(long Bytes, string End)> ReceiveToEndAsync()
    {
        var (bytes, end) = await peer.ReadToEndAsync();
        return (bytes, end == PeerSaw.Eof ? "FIN" : "RST");
    }

    public override Task HalfCloseAsync(bool withCloseNotify)
    {
        peer.HalfClose();
        return Task.CompletedTask;
    }

    public override void Reset() => peer.Reset();

    public override Task<string> ReceiveWhatFollowsAsync(string end)
    {
        // A read goes on to tell the end, so the error that the kernel keeps tells.
        var error = (SocketError)peer.Socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
        return Task.FromResult(end != "RST" && error != SocketError.Success ? ", then RST" : string.Empty);
    }

    public override ValueTask DisposeAsync() => peer.DisposeAsync();
}
