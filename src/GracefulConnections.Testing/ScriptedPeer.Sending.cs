using System.Net.Sockets;
using GracefulConnections.Transport;

namespace GracefulConnections.Testing;

/// <content>What the peer sends.</content>
public sealed partial class ScriptedPeer
{
    private const int QuietLooks = 20; // 0.1 s in which nothing was taken.

    /// <summary>Waits until everything that was sent is in the server's kernel. Only on Linux.</summary>
    public Task AllAcknowledgedAsync() =>
        Waiting.UntilAsync(() => SocketQueue.GetSendLength(Socket) == 0, "the server's kernel has everything");

    /// <summary>Sends all of it.</summary>
    /// <param name="bytes">What to send.</param>
    /// <exception cref="SocketException">The connection has ended.</exception>
    public async Task SendAsync(ReadOnlyMemory<byte> bytes)
    {
        using var limit = new CancellationTokenSource(Waiting.Longest);
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await Socket.SendAsync(bytes, SocketFlags.None, limit.Token)..];
        }
    }

    /// <summary>
    /// Sends until nothing more is taken for a while: every buffer on the way is full. From here on the socket does not
    /// block.
    /// </summary>
    public Task SendUntilBlockedAsync()
    {
        Socket.Blocking = false;
        var bytes = new byte[UploadChunkBytes];
        var quietLooks = 0;
        return Waiting.UntilAsync(() =>
        {
            quietLooks++;
            while (Socket.Send(bytes, SocketFlags.None, out var error) > 0 && error == SocketError.Success)
            {
                quietLooks = 0;
            }

            return quietLooks > QuietLooks;
        }, "every buffer on the way is full");
    }

    /// <summary>Sends a few bytes at a time, as a slow link or a slow program does.</summary>
    /// <param name="bytes">What to send in all.</param>
    /// <param name="chunkBytes">How many bytes to send at a time, at least 1.</param>
    /// <param name="every">How long to wait before each part but the first, at least 1 ms.</param>
    /// <param name="time">The clock to wait by; the system's if <see langword="null"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// <paramref name="chunkBytes"/> or <paramref name="every"/> is too small.
    /// </exception>
    /// <exception cref="SocketException">The connection has ended.</exception>
    public async Task TrickleAsync(
        ReadOnlyMemory<byte> bytes, int chunkBytes, TimeSpan every, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunkBytes);
        using var timer = new PeriodicTimer(every, time ?? TimeProvider.System);
        for (var sent = 0; sent < bytes.Length; sent += chunkBytes)
        {
            if (sent > 0)
            {
                await timer.WaitForNextTickAsync().AsTask().WithinLimit();
            }

            await SendAsync(bytes.Slice(sent, Math.Min(chunkBytes, bytes.Length - sent)));
        }
    }

    /// <summary>Sends one urgent byte (MSG_OOB), which no ordinary read of the other side returns.</summary>
    /// <param name="value">The byte.</param>
    /// <exception cref="SocketException">The connection has ended.</exception>
    public async Task SendUrgentAsync(byte value)
    {
        using var limit = new CancellationTokenSource(Waiting.Longest);
        await Socket.SendAsync(new[] { value }, SocketFlags.OutOfBand, limit.Token);
    }

    /// <summary>Sends until the connection ends or <see cref="StopUploadAsync"/> is called.</summary>
    public void StartUpload()
    {
        _upload = Task.Run(UploadAsync);

        async Task UploadAsync()
        {
            var bytes = new byte[UploadChunkBytes];
            try
            {
                while (!_stopped.IsCancellationRequested)
                {
                    var sent = await Socket.SendAsync(bytes, SocketFlags.None, _stopped.Token);
                    Volatile.Write(ref _uploadedBytes, _uploadedBytes + sent);
                }
            }
            catch (Exception exception) when (IsEndOrStop(exception))
            {
                // The connection ended, or the test has seen enough.
            }
        }
    }

    /// <summary>Waits until the upload has sent so many bytes, or ended because the connection did.</summary>
    /// <param name="bytes">How many bytes since the connect.</param>
    public Task UploadPassesOrEndsAsync(long bytes) => Waiting.UntilAsync(
        () => UploadedBytes >= bytes || _upload.IsCompleted, $"{bytes} bytes were uploaded, or the connection ended");

    /// <summary>Ends the upload for good: a peer uploads once.</summary>
    public async Task StopUploadAsync()
    {
        await _stopped.CancelAsync();
        await _upload.WithinLimit();
    }

    /// <summary>
    /// Sends until the server's RST is noticed. After the server's FIN a read goes on to tell nothing but the end; only
    /// sending tells.
    /// </summary>
    public async Task SendUntilResetAsync()
    {
        using var limit = new CancellationTokenSource(Waiting.Longest);
        var bytes = new byte[16];
        try
        {
            while (true)
            {
                await Socket.SendAsync(bytes, SocketFlags.None, limit.Token);
            }
        }
        catch (SocketException exception) when (IsReset(exception))
        {
            // This is what was waited for.
        }
    }
}
