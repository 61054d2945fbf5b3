using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>A TLS peer.</summary>
internal sealed class TlsMatrixPeer(TlsPeer peer) : MatrixPeer
{
    public override Task SendAsync(int count) => peer.SendAsync(new byte[count]);

    public override Task ReceiveExactlyAsync(int count) => peer.ReadExactlyAsync(count);

    public override async Task<(long Bytes, string End)> ReceiveToEndAsync()
    {
        var (bytes, end) = await peer.ReadToEndAsync();
        return (bytes, end switch
        {
            TlsPeerSaw.CloseNotify => "close_notify",
            TlsPeerSaw.Eof => "FIN",
            _ => "RST",
        });
    }

    public override async Task HalfCloseAsync(bool withCloseNotify)
    {
        if (withCloseNotify)
        {
            await peer.SendCloseNotifyAsync();
        }

        peer.Tcp.HalfClose();
    }

    public override void Reset() => peer.Tcp.Reset();

    public override async Task<string> ReceiveWhatFollowsAsync(string end)
    {
        if (end == "RST")
        {
            return string.Empty;
        }

        var (_, tcpEnd) = await peer.Tcp.ReadToEndAsync();
        return tcpEnd == PeerSaw.Reset ? ", then RST" : end == "FIN" ? string.Empty : ", FIN";
    }

    public override ValueTask DisposeAsync() => peer.DisposeAsync();
}
