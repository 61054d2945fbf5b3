using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace GracefulConnections.Probe.Wire;

/// <content>The connection inside of TLS.</content>
internal sealed partial class ProbeConnection
{
    private RecordStream? _records;
    private SslStream? _tls;
    private Task _write = Task.CompletedTask;
    private bool _closeNotifySent;

    /// <summary>Gets whether the server said by TLS that its direction is complete.</summary>
    public bool SawCloseNotify { get; private set; }

    /// <summary>
    /// Gets whether the server said that its direction is complete: by FIN, or inside of TLS by close_notify. A server
    /// may wait for the peer's answer to it before its FIN.
    /// </summary>
    public bool HasCompleted => End == ServerEnd.Fin || (SawCloseNotify && End == ServerEnd.None);

    /// <summary>
    /// Gets whether the connection ended inside of TLS without close_notify: what is missing was cut.
    /// </summary>
    public bool IsTruncated => _tls is not null && End == ServerEnd.Fin && !SawCloseNotify;

    /// <summary>Gets the version of TLS, or <see langword="null"/> without TLS.</summary>
    public SslProtocols? TlsVersion => _tls?.SslProtocol;

    /// <summary>
    /// Says by TLS that the probe's direction is complete. The TCP stream stays open. Without TLS: nothing.
    /// </summary>
    public async Task SendCloseNotifyAsync()
    {
        if (_tls is null || _closeNotifySent || _finSent)
        {
            return;
        }

        _closeNotifySent = true;
        try
        {
            await _write.WaitAsync(_settings.Patience, _settings.Time);
            await _tls.ShutdownAsync().WaitAsync(_settings.Patience, _settings.Time);
            _timeline.Add(_number, false, WireKind.CloseNotify);
        }
        catch (TimeoutException)
        {
            _timeline.Note("close_notify could not be sent, because the server does not read.");
        }
        catch (Exception exception) when (FindSocketError(exception) is { } error)
        {
            OnSendFailed(error);
        }
    }

    private async Task AuthenticateAsync(TlsSettings tls, CancellationToken cancellationToken)
    {
        _records = new RecordStream(new NetworkStream(_socket, ownsSocket: false));
        _tls = new SslStream(_records, leaveInnerStreamOpen: true);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(_settings.Patience);
        try
        {
            await _tls.AuthenticateAsClientAsync(tls.CreateOptions(), limit.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new TlsFailedException($"no answer within {_settings.Patience.TotalSeconds:0.#} s");
        }
        catch (Exception exception) when (exception is AuthenticationException or IOException)
        {
            throw new TlsFailedException(exception.GetBaseException().Message, exception);
        }
    }

    // TLS has ended, and the TCP stream goes on until its FIN or RST.
    private async Task ReadTcpEndAsync()
    {
        var rest = new byte[512];
        try
        {
            while (await _socket.ReceiveAsync(rest) > 0)
            {
            }

            OnTcpEnd();
        }
        catch (Exception exception) when (FindSocketError(exception) is { } error)
        {
            OnReadFailed(error);
        }
    }
}
