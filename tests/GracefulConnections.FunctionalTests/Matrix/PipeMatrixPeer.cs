using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>
/// The other end of a transport that is made of two pipes: there a completed pipe is FIN, and one that was completed
/// with an error RST.
/// </summary>
internal sealed class PipeMatrixPeer(PipeConnection connection) : MatrixPeer
{
    public override async Task SendAsync(int count) =>
        await connection.FromPeer.WriteAsync(new byte[count]).AsTask().InTimeAsync();

    public override async Task ReceiveExactlyAsync(int count)
    {
        var result = await connection.ToPeer.ReadAtLeastAsync(count).AsTask().InTimeAsync();
        connection.ToPeer.AdvanceTo(result.Buffer.GetPosition(count));
    }

    public override async Task<(long Bytes, string End)> ReceiveToEndAsync()
    {
        long bytes = 0;
        try
        {
            while (true)
            {
                var result = await connection.ToPeer.ReadAsync().AsTask().InTimeAsync();
                bytes += result.Buffer.Length;
                connection.ToPeer.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                {
                    return (bytes, "FIN");
                }
            }
        }
        catch (ConnectionAbortedException)
        {
            return (bytes, "RST");
        }
    }

    public override async Task HalfCloseAsync(bool withCloseNotify) => await connection.FromPeer.CompleteAsync();

    public override void Reset()
    {
        connection.FromPeer.Complete(new ConnectionResetException("The peer reset the connection."));
        connection.ToPeer.Complete();
    }

    public override Task<string> ReceiveWhatFollowsAsync(string end) =>
        Task.FromResult(end != "RST" && connection.Aborted.IsCompleted ? ", then RST" : string.Empty);

    public override async ValueTask DisposeAsync()
    {
        await connection.FromPeer.CompleteAsync();
        await connection.ToPeer.CompleteAsync();
    }
}
