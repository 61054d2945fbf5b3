using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using GracefulConnections.Closing;
using GracefulConnections.Pipeline;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Outgoing;

/// <summary>
/// A connection that was made. It reads from its socket when the caller reads, and has no task of its own, so an idle
/// one costs no more than its socket. Its disposal closes it gracefully, unless <c>RunGracefullyAsync</c> has.
/// </summary>
internal sealed class OutgoingConnection
    : DefaultConnectionContext, IConnectionSocketFeature, IMemoryPoolFeature, ISocketOwner
{
    private static long _lastId = TimeProvider.System.GetTimestamp();

    private readonly CloseScope _scope;
    private readonly Lock _resetLock = new();
    private TaskCompletionSource? _disposal;
    private long _receivedBytes;
    private InputEnd _end;
    private volatile SocketQueue? _queueAtReset;
    private int _isOver;
    private volatile bool _isSending;
    private volatile ConnectionAbortedException? _abortReason;
    private volatile Exception? _fault;

    /// <param name="socket">The socket, which is connected.</param>
    /// <param name="remote">
    /// Where to. The socket itself does not know any more, if the peer has reset the connection by now.
    /// </param>
    /// <param name="options">How to read.</param>
    /// <param name="scope">How to close.</param>
    public OutgoingConnection(Socket socket, EndPoint remote, OutgoingConnectionOptions options, CloseScope scope)
        : base(Interlocked.Increment(ref _lastId).ToString("X", CultureInfo.InvariantCulture))
    {
        _scope = scope;
        Socket = socket;
        LocalEndPoint = socket.LocalEndPoint;
        RemoteEndPoint = remote;
        var reading = new StreamPipeReaderOptions(
            MemoryPool,
            options.ReadBlockSize,
            OutgoingConnectionOptionsValidator.LeastBlock,
            leaveOpen: true,
            useZeroByteReads: options.WaitForDataBeforeAllocatingBuffer);
        OwnTransport = new SocketTransport(
            PipeReader.Create(new SocketStream(this, socket), reading),
            new QueuedOutput(SendAsync, EndOutput, MemoryPool));
        Transport = OwnTransport;
        Features.Set<IConnectionSocketFeature>(this);
        Features.Set<IMemoryPoolFeature>(this);
    }

    public Socket Socket { get; }

    public MemoryPool<byte> MemoryPool => MemoryPool<byte>.Shared;

    public IDuplexPipe OwnTransport { get; }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        _abortReason ??= abortReason ?? new ConnectionAbortedException();
        CloseSocket(resets: true);
        OnInputEnded();
    }

    [SuppressMessage(
        "Usage",
        "CA2215:Dispose methods should call base class dispose",
        Justification = "The base disposes of the token's source, which the pool's thread may be about to cancel.")]
    public override async ValueTask DisposeAsync()
    {
        var disposal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        if (Interlocked.CompareExchange(ref _disposal, disposal, null) is { } begun)
        {
            await begun.Task.ConfigureAwait(false);
            return;
        }

        try
        {
            await EndAsync().ConfigureAwait(false);
        }
        finally
        {
            disposal.SetResult();
        }
    }

    /// <summary>Nothing more is received. As on Kestrel's own, the token <c>ConnectionClosed</c> says so.</summary>
    public void OnInputEnded()
    {
        if (Interlocked.Exchange(ref _isOver, 1) == 0)
        {
            base.Abort(new ConnectionAbortedException("The input has ended.")); // Fires the token, on the thread pool.
        }
    }

    /// <summary>
    /// Something was received, or the end. The kernel tells of a reset once: if it told a send, the end of what the
    /// peer had sent before looks as if by FIN.
    /// </summary>
    public void OnReceived(int bytes)
    {
        _receivedBytes += bytes;
        if (bytes > 0)
        {
            return;
        }

        if ((_queueAtReset is not null || _isSending)
            && _end.IsReset(InputKind.Transport, _queueAtReset ?? new SocketQueue(Socket), _receivedBytes))
        {
            throw Explain(_fault ?? new SocketException((int)SocketError.ConnectionReset));
        }

        OnInputEnded();
    }

    public bool? KeepInput()
    {
        NoteReset();
        OnInputEnded();
        return _end.HadEndedAtReset;
    }

    /// <summary>Returns what Kestrel's transport would throw. The token says that the connection is over.</summary>
    public Exception Explain(Exception exception)
    {
        if (exception is SocketException && _abortReason is null)
        {
            NoteReset();
        }

        _fault ??= exception;
        OnInputEnded();
        return _abortReason is { } reason ? new ConnectionAbortedException(reason.Message, reason) : exception switch
        {
            // A send behind a reset that nobody was told of is told of a broken pipe.
            SocketException { SocketErrorCode: SocketError.ConnectionReset or SocketError.Shutdown } =>
                new ConnectionResetException(exception.Message, exception),
            SocketException { SocketErrorCode: SocketError.ConnectionAborted or SocketError.OperationAborted }
                or ObjectDisposedException =>
                new ConnectionAbortedException("The connection was closed.", exception),
            _ => new IOException(exception.Message, exception),
        };
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    private async ValueTask<long> SendAsync(ReadOnlySequence<byte> buffer)
    {
        _isSending = true;
        try
        {
            var sent = await SendOperation.Rent().SendAsync(Socket, buffer).ConfigureAwait(false);
            _isSending = false;
            return sent;
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            throw Explain(exception);
        }
    }

    private void NoteReset()
    {
        lock (_resetLock)
        {
            if (_queueAtReset is null)
            {
                var queue = new SocketQueue(Socket);
                var hasEnded = queue.TryGetTcpInfo(out var info)
                    ? info.ReceivedBytes == Volatile.Read(ref _receivedBytes) + queue.GetUnreadLength() + 1
                    : queue.IsUnix || Volatile.Read(ref _isOver) != 0;
                _end.OnPeerReset(InputKind.Transport, queue, hasEnded);
                _queueAtReset = queue;
            }
        }
    }

    // The writer was completed: FIN, behind everything that was written.
    private void EndOutput()
    {
        try
        {
            Socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The connection is gone already, and with it the direction.
        }
    }

    private async Task EndAsync()
    {
        switch (Features.Get<IGracefulCloseFeature>())
        {
            case null when _abortReason is null:
                await CloseGracefullyAsync().ConfigureAwait(false);
                break;
            case { State: not (CloseState.Closed or CloseState.Aborted) }:
                Abort(new ConnectionAbortedException("The connection was disposed while it was in use."));
                break;
        }

        OnInputEnded();
        CloseSocket(resets: false);
    }

    // As if a handler had returned at once.
    private async Task CloseGracefullyAsync()
    {
        try
        {
            using var limit = new CancellationTokenSource(_scope.Options.CloseTimeout, _scope.Time);
            await ((SocketTransport)OwnTransport).Output.SendAllAsync(limit.Token).ConfigureAwait(false);
        }
        catch (Exception exception) when (
            exception is OperationCanceledException or IOException or ConnectionAbortedException)
        {
            Abort(new ConnectionAbortedException("What was written could not be sent.", exception));
            return;
        }

        // A reader of its own, because the one that the user had may be in the middle of a read.
        OwnTransport.Input.CancelPendingRead();
        ((SocketTransport)OwnTransport).Input = PipeReader.Create(new SocketStream(this, Socket));
        Transport = OwnTransport;
        await GracefulShutdownMiddleware.RunAsync(this, _scope, static (_, _) => Task.CompletedTask)
            .ConfigureAwait(false);
    }

    private void CloseSocket(bool resets)
    {
        try
        {
            if (resets)
            {
                Socket.LingerState = new LingerOption(true, 0);
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // Closed already.
        }

        Socket.Dispose();
    }

    private sealed class SocketTransport(PipeReader input, QueuedOutput output) : IDuplexPipe
    {
        public PipeReader Input { get; set; } = input;

        public QueuedOutput Output => output;

        PipeWriter IDuplexPipe.Output => output;
    }
}
