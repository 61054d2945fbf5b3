using System.Net.Security;

namespace GracefulConnections.Transport.Tls;

/// <summary>
/// The end of our half of a TLS connection. Behind it nothing can be written, and the peer knows that nothing was cut
/// off.
/// </summary>
internal sealed class CloseNotify(SslStream tls, ReadPump input)
{
    /// <summary>
    /// Sends close_notify. Takes as long as the transport takes to accept it; an abort of the connection ends it.
    /// </summary>
    public async Task SendAsync()
    {
        var sending = new TaskCompletionSource<Task>(TaskCreationOptions.RunContinuationsAsynchronously);

        // The stream does not guard its end against a read that decrypts at the same moment on another thread.
        input.RunBetweenReads(() => sending.SetResult(StartAsync()));
        await (await sending.Task.ConfigureAwait(false)).ConfigureAwait(false);
    }

    private async Task StartAsync() => await tls.ShutdownAsync().ConfigureAwait(false);
}
