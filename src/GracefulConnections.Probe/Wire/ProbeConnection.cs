using System.Buffers;
using System.Net.Sockets;

namespace GracefulConnections.Probe.Wire;

/// <summary>
/// One connection to the server under test: a plain socket that notes everything that the server did. One flow of code
/// may read while another one sends.
/// </summary>
internal sealed partial class ProbeConnection : IAsyncDisposable
{
    // Small segments and a small window, as on a real network: on loopback the kernel would take a reply of a
    // megabyte in one go, and a server that throws bytes away at its close would have none left to throw away.
    public const int SmallWindowBytes = 16 * 1024;
    private const int SegmentBytes = 1400;
    private const int TcpLevel = 6;
    private const int TcpMaxSegment = 2;
    private const int ChunkBytes = 16 * 1024;

    private readonly Socket _socket;
    private readonly ConnectionSettings _settings;
    private readonly Timeline _timeline;
    private readonly int _number;
    private readonly ArrayBufferWriter<byte> _received = new();
    private readonly TaskCompletionSource _closeNotifyCame = new();
    private Task<int>? _pendingRead;
    private bool _resetTakenBySend;
    private bool _finSent;

    private ProbeConnection(Socket socket, ConnectionSettings settings, Timeline timeline)
    {
        _socket = socket;
        _settings = settings;
        _timeline = timeline;
        _number = timeline.AddConnection();
    }

    /// <summary>Gets how the server ended the connection.</summary>
    public ServerEnd End { get; private set; }

    /// <summary>Gets whether an RST came behind the server's FIN.</summary>
    public bool ResetAfterFin { get; private set; }

    /// <summary>
    /// Gets whether a program that reads sees a clean end although an RST came: its send took the error.
    /// </summary>
    public bool IsResetMasked { get; private set; }

    public ReadOnlySpan<byte> Received => _received.WrittenSpan;

    public long ReceivedBytes => _received.WrittenCount;

    public long SentBytes { get; private set; }

    public int LocalPort => ((System.Net.IPEndPoint)_socket.LocalEndPoint!).Port;

    private Stream Stream => _tls ?? throw new InvalidOperationException("The connection has no TLS.");

    /// <summary>Connects, within the limit of patience.</summary>
    /// <param name="windowBytes">The receive buffer to ask the kernel for; 0 leaves it to the kernel.</param>
    /// <exception cref="SocketException">The server cannot be reached.</exception>
    /// <exception cref="TlsFailedException">The TLS handshake failed.</exception>
    public static async Task<ProbeConnection> ConnectAsync(
        ConnectionSettings settings, Timeline timeline, int windowBytes, CancellationToken cancellationToken)
    {
        var socket = new Socket(settings.Target.Address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            Prepare(socket, windowBytes);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            limit.CancelAfter(settings.Patience);
            await ConnectAsync(socket, settings.Target, limit.Token, cancellationToken);
            var connection = new ProbeConnection(socket, settings, timeline);
            timeline.Add(connection._number, false, WireKind.Connect);
            if (settings.Tls is { } tls)
            {
                await connection.AuthenticateAsync(tls, cancellationToken);
            }

            return connection;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends bytes.</summary>
    /// <returns><see langword="false"/> if the server had reset the connection, or the send was cancelled.</returns>
    public async Task<bool> SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        try
        {
            while (!bytes.IsEmpty)
            {
                var chunk = bytes[..Math.Min(bytes.Length, ChunkBytes)];
                var sent = await SendOnceAsync(chunk, cancellationToken);
                SentBytes += sent;
                _timeline.Add(_number, false, WireKind.Data, sent);
                bytes = bytes[sent..];
            }

            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
        catch (Exception exception) when (FindSocketError(exception) is { } error)
        {
            OnSendFailed(error);
            return false;
        }
    }

    /// <summary>Receives once.</summary>
    /// <param name="silence">How long to wait.</param>
    /// <param name="most">The most bytes to take.</param>
    /// <param name="toCloseNotify">Whether the server's close_notify is an end; else only FIN or RST is.</param>
    public async Task<ReadOutcome> ReadAsync(
        TimeSpan silence, CancellationToken cancellationToken, int most = 64 * 1024, bool toCloseNotify = false)
    {
        if (End != ServerEnd.None || (toCloseNotify && SawCloseNotify))
        {
            return ReadOutcome.Ended;
        }

        // A read that the wait gave up stays pending: the next call goes on waiting for it.
        _pendingRead ??= ReadOnceAsync(most);
        try
        {
            await Task.WhenAny(_pendingRead, toCloseNotify ? _closeNotifyCame.Task : _pendingRead)
                .WaitAsync(silence, _settings.Time, cancellationToken);
        }
        catch (TimeoutException)
        {
            return ReadOutcome.Silent;
        }

        if (!_pendingRead.IsCompleted)
        {
            return ReadOutcome.Ended; // close_notify came, and the read goes on to the end of the TCP stream.
        }

        _pendingRead = null;
        return End == ServerEnd.None ? ReadOutcome.Reached : ReadOutcome.Ended;
    }

    /// <summary>Receives until <paramref name="total"/> bytes have come in all.</summary>
    /// <param name="pace">How long to pause after each read; a pause is no silence.</param>
    public async Task<ReadOutcome> ReadToAsync(
        long total,
        CancellationToken cancellationToken,
        TimeSpan pace = default,
        TimeSpan? silence = null,
        bool toCloseNotify = false)
    {
        while (ReceivedBytes < total)
        {
            var most = pace == default ? 64 * 1024 : ChunkBytes;
            most = (int)Math.Min(most, total - ReceivedBytes); // What is left in the kernel decides what can be lost.
            var outcome = await ReadAsync(silence ?? _settings.Patience, cancellationToken, most, toCloseNotify);
            if (outcome != ReadOutcome.Reached)
            {
                return outcome;
            }

            if (pace != default)
            {
                await Task.Delay(pace, _settings.Time, cancellationToken);
            }
        }

        return ReadOutcome.Reached;
    }

    /// <summary>Receives until the server ends the connection, or is silent for too long.</summary>
    public Task<ReadOutcome> ReadToEndAsync(
        CancellationToken cancellationToken, TimeSpan pace = default, TimeSpan? silence = null) =>
        ReadToAsync(long.MaxValue, cancellationToken, pace, silence);

    /// <summary>Forgets what has come. Not while a read is pending.</summary>
    public void ForgetReceived() => _received.ResetWrittenCount();

    /// <summary>Ends the probe's direction: close_notify inside of TLS, then FIN.</summary>
    public async Task SendFinAsync()
    {
        await SendCloseNotifyAsync();
        SendTcpFin();
    }

    /// <summary>Sends FIN, and no close_notify before it.</summary>
    public void SendTcpFin()
    {
        if (_finSent)
        {
            return;
        }

        LookForReset();
        _finSent = true;
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
            _timeline.Add(_number, false, WireKind.Fin);
        }
        catch (SocketException exception)
        {
            OnSendFailed(exception.SocketErrorCode);
        }
    }

    /// <summary>Sends one urgent byte (RFC 9293, section 3.8.5).</summary>
    public void SendUrgent(byte value)
    {
        try
        {
            _socket.Send([value], SocketFlags.OutOfBand);
            _timeline.Add(_number, false, WireKind.Urgent, 1);
        }
        catch (SocketException exception)
        {
            OnSendFailed(exception.SocketErrorCode);
        }
    }

    /// <summary>Ends the connection by RST.</summary>
    public void Reset()
    {
        _timeline.Add(_number, false, WireKind.Reset);
        _socket.Close(0);
    }

    /// <summary>
    /// Closes as a program does that calls close() and nothing before it. Unread bytes make the kernel reset.
    /// </summary>
    public void CloseAtOnce()
    {
        _timeline.Note("The probe calls close() with bytes unread.");
        _socket.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        _socket.Dispose();
        if (_tls is not null)
        {
            await _tls.DisposeAsync();
            await _write.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // The socket is closed.
        }

        if (_pendingRead is not null)
        {
            await _pendingRead; // It never throws, and the socket is closed.
        }
    }

    private static void Prepare(Socket socket, int windowBytes)
    {
        socket.NoDelay = true;
        if (windowBytes > 0)
        {
            socket.ReceiveBufferSize = windowBytes;
        }

        if (OperatingSystem.IsLinux())
        {
            socket.SetRawSocketOption(TcpLevel, TcpMaxSegment, BitConverter.GetBytes(SegmentBytes));
        }
    }

    private static async Task ConnectAsync(
        Socket socket, Target target, CancellationToken limit, CancellationToken cancellationToken)
    {
        try
        {
            await socket.ConnectAsync(target.EndPoint, limit);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new SocketException((int)SocketError.TimedOut);
        }
    }

    private async ValueTask<int> SendOnceAsync(ReadOnlyMemory<byte> chunk, CancellationToken cancellationToken)
    {
        if (_tls is null)
        {
            return await _socket.SendAsync(chunk, SocketFlags.None, cancellationToken);
        }

        // Not cancelled, because half a record would be left on the wire, and nothing can be read behind it.
        await _write.WaitAsync(cancellationToken);
        _write = Stream.WriteAsync(chunk, CancellationToken.None).AsTask();
        await _write.WaitAsync(cancellationToken);
        return chunk.Length;
    }
}
