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

    public override async Task<string> ReceiveWhatFollowsAsync(string end, bool expectReset)
    {
        if (end == "RST" || !expectReset)
        {
            return string.Empty;
        }

        await peer.SendUntilResetAsync();
        return ", then RST";
    }

    public override ValueTask DisposeAsync() => peer.DisposeAsync();
}
