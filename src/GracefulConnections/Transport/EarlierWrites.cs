using System.Diagnostics;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Transport;

/// <summary>
/// Sends what the caller wrote to a connection before the library took it over, for example the header by which a relay
/// says who its peer is. The library sends on the socket itself, and what waits in the writer before would come later.
/// </summary>
internal static class EarlierWrites
{
    // Kestrel's loop takes some microseconds to wake up, and as long as the peer likes if it takes nothing.
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(1);

    /// <summary>Gets whether there is something to wait for.</summary>
    public static bool AreIn(PipeWriter writer) =>
        (writer.CanGetUnflushedBytes && writer.UnflushedBytes > 0) || OutputPipe.HoldsFlushed(writer);

    /// <summary>Returns when everything was sent, or the connection is over.</summary>
    /// <param name="writer">The writer that the caller had.</param>
    /// <param name="connection">The connection, which knows the socket that a pipe ends in.</param>
    /// <param name="time">The clock.</param>
    public static async Task SendAsync(PipeWriter writer, ConnectionContext connection, TimeProvider time)
    {
        if (writer is QueuedOutput queued)
        {
            await queued.SendAllAsync(CancellationToken.None).ConfigureAwait(false);
        }
        else if (OutputPipe.IsPipe(writer))
        {
            if (writer.UnflushedBytes > 0)
            {
                // Not awaited, because the caller may have a flush of its own that waits, and a pipe allows one only.
                var flush = writer.FlushAsync(CancellationToken.None);
                Debug.Assert(!flush.IsFaulted, "Bytes are in the pipe, so nobody has completed its writer.");
            }

            var socket = connection.Find<IConnectionSocketFeature>()?.Socket;
            while (OutputPipe.HoldsFlushed(writer) && socket?.SafeHandle.IsClosed == false)
            {
                await Task.Delay(LookInterval, time).ConfigureAwait(false); // Nothing tells when the pipe is empty.
            }
        }
        else
        {
            while ((await writer.FlushAsync(CancellationToken.None).ConfigureAwait(false)).IsCanceled)
            {
                // By the caller, who could not know of this flush.
            }
        }
    }
}
