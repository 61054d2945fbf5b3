using System.Net.Sockets;
using System.Runtime.Versioning;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Listening;

/// <summary>Serves the path of the handover: passes the listening sockets to one successor at a time.</summary>
internal sealed class HandoverServer : IDisposable
{
    private const int Backlog = 16;
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly TimeSpan _readyTimeout;
    private readonly TimeProvider _time;
    private readonly ListeningSockets _sockets;
    private readonly ILogger _logger;
    private readonly Socket _socket = DescriptorChannel.CreateSocket();
    private ulong? _inode;

    /// <summary>
    /// Listens under another name and with nobody else's access, so that no successor finds the socket half-made.
    /// </summary>
    /// <exception cref="IOException">The file cannot be made, as on a file system that is read-only.</exception>
    [UnsupportedOSPlatform("windows")]
    public HandoverServer(
        string path, TimeSpan readyTimeout, TimeProvider time, ListeningSockets sockets, ILogger logger)
    {
        (_path, _readyTimeout, _time, _sockets, _logger) = (path, readyTimeout, time, sockets, logger);
        var temporary = HandoverPath.TemporaryOf(path);
        try
        {
            File.Delete(temporary);
            _socket.Bind(new UnixDomainSocketEndPoint(temporary));
            File.SetUnixFileMode(temporary, OwnerOnly);
            _socket.Listen(Backlog);
        }
        catch (Exception exception)
            when (exception is SocketException or IOException or UnauthorizedAccessException)
        {
            _socket.Dispose();
            throw new IOException(
                "ListenerHandoverOptions: SocketPath must be in a directory in which this process may make files, "
                + $"but was {path}, and {temporary} could not be made. The file system may be read-only.",
                exception);
        }
    }

    /// <summary>From now on successors find this process. Replaces the predecessor's file, or a stale one.</summary>
    public void Publish()
    {
        File.Move(HandoverPath.TemporaryOf(_path), _path, overwrite: true);
        _inode = FileFacts.Of(_path)?.Inode;
    }

    /// <summary>Serves until a successor is ready.</summary>
    /// <param name="handOver">
    /// Hands over to a successor, which serves these addresses. Returns whether there still is one.
    /// </param>
    /// <param name="cancellationToken">Ends it without a handover.</param>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public async Task ServeAsync(
        Func<DescriptorChannel, string[], Task<bool>> handOver, CancellationToken cancellationToken)
    {
        while (true)
        {
            using var successor = new DescriptorChannel(await AcceptAsync(cancellationToken).ConfigureAwait(false));
            try
            {
                if (!successor.IsTrusted)
                {
                    Log.SuccessorRefused(_logger, successor.ProcessId, successor.UserId);
                    successor.Send(HandoverProtocol.Refused);
                }
                else if (FirstProcess.TakesAlong(successor.ProcessId))
                {
                    Log.SuccessorInContainer(_logger, successor.ProcessId);
                    successor.Send(HandoverProtocol.RefusedByFirst);
                }
                else if (await OfferAsync(successor, cancellationToken).ConfigureAwait(false) is { } addresses
                    && await handOver(successor, addresses).ConfigureAwait(false))
                {
                    await WaitForEndAsync(successor, cancellationToken).ConfigureAwait(false);
                    return;
                }
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException)
            {
                // It ended, or an endpoint was removed while its socket was sent.
                Log.HandoverFailed(_logger, successor.ProcessId, exception);
            }
        }
    }

    /// <summary>Removes the file, unless it is another process's by now.</summary>
    public void Dispose()
    {
        if (_inode is { } inode && FileFacts.Of(_path)?.Inode == inode)
        {
            UnixListener.TryRemoveFile(_path);
        }

        _socket.Dispose();
    }

    private async Task<Socket> AcceptAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await _socket.AcceptAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (SocketException exception)
            {
                Log.HandoverNotAccepted(_logger, _path, exception); // For example, no descriptor is left.
                await Task.Delay(RetryDelay, _time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    /// <returns>The addresses that a ready successor serves; <see langword="null"/> if there is none.</returns>
    private async Task<string[]?> OfferAsync(DescriptorChannel successor, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_readyTimeout, _time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        var isOffered = false;
        _sockets.BeginOffer();
        try
        {
            await SendSocketsAsync(successor, end.Token).ConfigureAwait(false);
            isOffered = true;
            var message = await successor.ReceiveAsync(end.Token).ConfigureAwait(false);
            if (message?.Text.Split(HandoverProtocol.Separator) is [HandoverProtocol.Ready, .. var addresses])
            {
                return addresses;
            }

            Log.SuccessorEnded(_logger, successor.ProcessId);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            _sockets.AreLeftToSuccessor = isOffered; // It holds them, and serves as soon as it is ready.
            throw;
        }
        catch (OperationCanceledException)
        {
            Log.SuccessorLate(_logger, successor.ProcessId, _readyTimeout.TotalSeconds);
            successor.Send(HandoverProtocol.Late);
        }
        finally
        {
            _sockets.EndOffer();
        }

        return null;
    }

    private async Task SendSocketsAsync(DescriptorChannel successor, CancellationToken cancellationToken)
    {
        await SendAsync(HandoverProtocol.Hello).ConfigureAwait(false);
        foreach (var socket in _sockets.Active.Select(static listener => listener.Socket))
        {
            if (socket.CanBeHandedOver)
            {
                var kind = socket.IsKept ? HandoverProtocol.KeptSocket : HandoverProtocol.Socket;
                await SendAsync(kind + socket.Address, socket.Descriptor).ConfigureAwait(false);
            }
        }

        await SendAsync(HandoverProtocol.End).ConfigureAwait(false);

        Task SendAsync(string text, Descriptor? descriptor = null) =>
            successor.SendAsync(text, descriptor, _time, cancellationToken);
    }

    // It ends the connection once it serves the path, so that a third process finds one of the two at any time.
    private async Task WaitForEndAsync(DescriptorChannel successor, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(HandoverProtocol.AnswerTimeout, _time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await successor.ReceiveAsync(end.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Log.OtherProcessSilent(_logger, successor.ProcessId);
        }
    }
}
