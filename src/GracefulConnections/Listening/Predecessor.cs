using System.Net.Sockets;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Listening;

/// <summary>The process that serves now, as its successor sees it.</summary>
internal sealed class Predecessor : IDisposable
{
    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(100);

    private readonly DescriptorChannel _channel;

    private Predecessor(DescriptorChannel channel, List<ListeningSocket> sockets) =>
        (_channel, Sockets) = (channel, sockets);

    public int ProcessId => _channel.ProcessId;

    /// <summary>Gets the listening sockets that it passed.</summary>
    public IReadOnlyList<ListeningSocket> Sockets { get; }

    /// <summary>Asks the process that serves the path for its listening sockets.</summary>
    /// <returns><see langword="null"/> if no process serves the path.</returns>
    /// <exception cref="TimeoutException">It did not pass them in time.</exception>
    /// <exception cref="UnauthorizedAccessException">It runs as another user, or may not be asked.</exception>
    public static async Task<Predecessor?> FindAsync(
        string path, TimeSpan limit, TimeProvider time, ILogger logger, CancellationToken cancellationToken)
    {
        if (FileFacts.Of(path) is null)
        {
            return null;
        }

        using var timeout = new CancellationTokenSource(limit, time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            while (true)
            {
                var socket = DescriptorChannel.CreateSocket();
                try
                {
                    await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), end.Token).ConfigureAwait(false);
                    var channel = new DescriptorChannel(socket);
                    if (!channel.IsTrusted)
                    {
                        throw new UnauthorizedAccessException(
                            $"Process {channel.ProcessId} serves {path} as user {channel.UserId}, and listening "
                            + "sockets are taken from the own user and from root only. Run both as the same user.");
                    }

                    if (await ReceiveAsync(channel, end.Token).ConfigureAwait(false) is { } sockets)
                    {
                        return new Predecessor(channel, sockets);
                    }
                }
                catch (SocketException exception)
                {
                    socket.Dispose();
                    if (IsNobody(exception))
                    {
                        return null;
                    }

                    if (exception.SocketErrorCode == SocketError.AccessDenied)
                    {
                        throw new UnauthorizedAccessException(
                            $"{path} may not be connected to: it belongs to another user. Run both as the same user.",
                            exception);
                    }
                }
                catch
                {
                    socket.Dispose();
                    throw;
                }

                // It has handed over to another successor, which serves the path soon, or it stops and removes it.
                socket.Dispose();
                Log.PredecessorAskedAgain(logger, path);
                await Task.Delay(RetryDelay, time, end.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested)
        {
            throw new TimeoutException(
                $"The process that serves {path} did not pass its listening sockets within {limit}. It may be busy "
                + "with another successor, or stand still. End it, or raise ReadyTimeout.");
        }
    }

    /// <summary>Tells it that this process has started and serves these addresses.</summary>
    public async Task<PredecessorAnswer> ReleaseAsync(
        IEnumerable<string> addresses, TimeProvider time, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(HandoverProtocol.AnswerTimeout, time);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            _channel.Send(string.Join(HandoverProtocol.Separator, [HandoverProtocol.Ready, .. addresses]));
        }
        catch (IOException)
        {
            // It closed the connection. Why it did so may still wait to be read.
        }

        try
        {
            var answer = await _channel.ReceiveAsync(end.Token).ConfigureAwait(false);
            return answer?.Text switch
            {
                HandoverProtocol.Gone => PredecessorAnswer.Gone,
                HandoverProtocol.Late => PredecessorAnswer.Late,
                _ => PredecessorAnswer.None,
            };
        }
        catch (OperationCanceledException)
        {
            return PredecessorAnswer.None;
        }
    }

    public void Dispose() => _channel.Dispose();

    // A file that nobody serves refuses: the process that made it was killed.
    private static bool IsNobody(SocketException exception) =>
        exception.SocketErrorCode is SocketError.ConnectionRefused or SocketError.AddressNotAvailable
        || exception.NativeErrorCode == LibC.ErrorNoFile;

    /// <returns><see langword="null"/> if it ended before all were there.</returns>
    private static async Task<List<ListeningSocket>?> ReceiveAsync(
        DescriptorChannel channel, CancellationToken cancellationToken)
    {
        var sockets = new List<ListeningSocket>();
        try
        {
            var isHello = true;
            while (await channel.ReceiveAsync(cancellationToken).ConfigureAwait(false) is { } message)
            {
                if (isHello && message.Text != HandoverProtocol.Hello)
                {
                    throw new InvalidOperationException(
                        $"Process {channel.ProcessId} was asked for its listening sockets and says \"{message.Text}\" "
                        + $"where this version of the library knows \"{HandoverProtocol.Hello}\" only. Stop that "
                        + "process before this one starts.");
                }

                isHello = false;
                if (message is { Text: HandoverProtocol.End })
                {
                    return sockets;
                }

                if (message.Descriptor is { } descriptor)
                {
                    sockets.Add(Read(message.Text, descriptor));
                }
            }
        }
        catch
        {
            sockets.ForEach(static socket => socket.Dispose());
            throw;
        }

        sockets.ForEach(static socket => socket.Dispose());
        return null;
    }

    private static ListeningSocket Read(string text, Descriptor descriptor) =>
        text.StartsWith(HandoverProtocol.KeptSocket, StringComparison.Ordinal)
            ? new ListeningSocket(descriptor, text[HandoverProtocol.KeptSocket.Length..]) { IsKept = true }
            : new ListeningSocket(descriptor, text[HandoverProtocol.Socket.Length..]);
}
