using System.Net.Sockets;

namespace GracefulConnections.Probe.Wire;

/// <content>Tells FIN from RST.</content>
internal sealed partial class ProbeConnection
{
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan LeastSettling = TimeSpan.FromMilliseconds(200);

    private readonly Lock _endLock = new();

    /// <summary>
    /// Waits until the server's kernel acknowledged what was sent, or reset the connection. An RST comes in place of
    /// the
    /// acknowledgement, or when the server closes with the bytes unread, so this looks once more a moment later.
    /// </summary>
    /// <returns>
    /// Whether the bytes were taken; <see langword="null"/> where that cannot be known, because the kernel does not
    /// tell
    /// or the network is too slow.
    /// </returns>
    public async Task<bool?> AwaitDeliveryAsync(CancellationToken cancellationToken)
    {
        var began = _settings.Time.GetTimestamp();
        while (KernelState.TryRead(_socket) is { } state)
        {
            if (state.IsClosed)
            {
                LookForReset();
                return false;
            }

            if (state.IsDelivered)
            {
                var settling = LeastSettling + (2 * state.RoundTrip);
                await Task.Delay(settling, _settings.Time, cancellationToken);
                LookForReset();
                return !IsResetKnown;
            }

            if (_settings.Time.GetElapsedTime(began) > _settings.Patience)
            {
                return null;
            }

            await Task.Delay(LookInterval, _settings.Time, cancellationToken);
        }

        await Task.Delay(LeastSettling, _settings.Time, cancellationToken);
        return IsResetKnown ? false : null;
    }

    private bool IsResetKnown => End == ServerEnd.Reset || ResetAfterFin || _resetTakenBySend;

    /// <summary>Looks whether the kernel has heard an RST that no read and no send has reported yet.</summary>
    public void LookForReset()
    {
        // After the probe's FIN, the kernel's state is the same for a connection that ended well.
        if (_finSent || IsResetKnown || KernelState.TryRead(_socket) is not { IsClosed: true })
        {
            return;
        }

        if (End == ServerEnd.Fin)
        {
            OnResetAfterFin();
        }
    }

    private static SocketError? FindSocketError(Exception? exception) => exception switch
    {
        null => null,
        SocketException socket => socket.SocketErrorCode,
        ObjectDisposedException => SocketError.Shutdown,
        _ => FindSocketError(exception.InnerException),
    };

    // Never throws, because nobody may be there any more to hear of it.
    private async Task<int> ReadOnceAsync(int most)
    {
        var memory = _received.GetMemory(most)[..most];
        try
        {
            var read = _tls is null ? await _socket.ReceiveAsync(memory) : await Stream.ReadAsync(memory);
            if (read == 0)
            {
                await OnStreamEndedAsync();
                return 0;
            }

            _received.Advance(read);
            _timeline.Add(_number, true, WireKind.Data, read);
            return read;
        }
        catch (Exception exception) when (FindSocketError(exception) is { } error)
        {
            OnReadFailed(error);
        }
        catch (IOException)
        {
            // TLS: the TCP stream ended in the middle of a record, or with a record that cannot be read.
            await OnStreamEndedAsync();
        }

        return 0;
    }

    private async Task OnStreamEndedAsync()
    {
        if (_tls is not null && !_records!.HasEnded)
        {
            SawCloseNotify = true;
            _timeline.Add(_number, true, WireKind.CloseNotify);
            _closeNotifyCame.SetResult();
            await ReadTcpEndAsync();
            return;
        }

        OnTcpEnd();
    }

    private void OnTcpEnd()
    {
        // The kernel gives an error to one caller only. When a send took ECONNRESET, the next read returns 0.
        lock (_endLock)
        {
            if (_resetTakenBySend)
            {
                MaskReset();
                return;
            }

            EndBy(ServerEnd.Fin);
        }
    }

    private void MaskReset()
    {
        IsResetMasked = true;
        if (End == ServerEnd.Fin)
        {
            _timeline.TakeBackFin(_number);
        }

        End = ServerEnd.Reset;
        _timeline.Add(_number, true, WireKind.Reset, note: "send() reported it, recv() said end of stream");
    }

    private void OnReadFailed(SocketError error)
    {
        switch (error)
        {
            case SocketError.ConnectionReset or SocketError.ConnectionAborted:
                EndBy(ServerEnd.Reset);
                break;
            case SocketError.Shutdown or SocketError.OperationAborted or SocketError.Interrupted:
                break; // The probe closed the socket itself.
            default:
                EndBy(ServerEnd.Unreachable, error.ToString());
                break;
        }
    }

    private void OnSendFailed(SocketError error)
    {
        // Linux: the first error behind a FIN is EPIPE, without a FIN it is ECONNRESET.
        lock (_endLock)
        {
            switch (error)
            {
                case SocketError.ConnectionReset when !IsResetKnown:
                    _resetTakenBySend = true;
                    if (End == ServerEnd.Fin)
                    {
                        MaskReset(); // The read was told first, of an end that was none.
                    }

                    break;
                case SocketError.Shutdown when !IsResetKnown && !_finSent:
                    OnResetAfterFin();
                    break;
            }
        }
    }

    private void OnResetAfterFin()
    {
        ResetAfterFin = true;
        _timeline.Add(_number, true, WireKind.Reset, note: "behind its FIN");
    }

    private void EndBy(ServerEnd end, string? note = null)
    {
        if (End != ServerEnd.None)
        {
            return;
        }

        End = end;
        var kind = end switch
        {
            ServerEnd.Fin => WireKind.Fin,
            ServerEnd.Reset => WireKind.Reset,
            _ => WireKind.Note,
        };
        _timeline.Add(_number, true, kind, note: note);
    }
}
