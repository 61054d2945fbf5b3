using System.Buffers;
using System.Net.Sockets;
using GracefulConnections.Transport;

namespace GracefulConnections.Testing;

/// <summary>
/// TCP between a server and its peer without a network: what was sent, what has arrived, what was acknowledged, and how
/// it ended. A packet takes no time. Whoever waits goes on inline, on the thread that changes something.
/// </summary>
internal sealed partial class MemoryKernel(InMemoryConnectionOptions options, PeerLog log)
{
    private const byte LastAck = 9; // As in include/net/tcp_states.h.

    private readonly Lock _lock = new();
    private readonly ByteQueue _queued = new(); // In the server's kernel.
    private readonly ByteQueue _arrived = new(); // In the peer's kernel, unread.
    private TaskCompletionSource _changed = new();
    private long _lastReceivedAt = options.TimeProvider.GetTimestamp();
    private long _receivedBytes;
    private long _acceptedBytes;
    private long _arrivedBytes;
    private long _acknowledgedBytes;
    private long _resetsAt = long.MaxValue;
    private bool _finSent;
    private bool _finArrived;
    private bool _finAcknowledged;
    private bool _peerFin;
    private bool _isReset;
    private bool _isResetByServer;
    private bool _isClosed;
    private bool _resetsOnClose;
    private bool _isWindowClosed;
    private bool _holdsAcknowledgements;
    private bool _isVanished;

    /// <summary>Gets or sets what happens to the server when the peer resets the connection by itself.</summary>
    public Action? PeerResets { get; set; }

    /// <summary>Gets whether the connection was reset by either side.</summary>
    public bool IsReset
    {
        get
        {
            lock (_lock)
            {
                return _isReset;
            }
        }
    }

    /// <summary>Gets the length of the server's send queue, our FIN included; -1 once the server has closed.</summary>
    public int SendLength
    {
        get
        {
            lock (_lock)
            {
                return _isClosed ? -1 : SendLength_NeedsLock;
            }
        }
    }

    private int SendLength_NeedsLock =>
        (int)(_acceptedBytes - _acknowledgedBytes) + (_finSent && !_finAcknowledged ? 1 : 0);

    private int Window_NeedsLock =>
        _isWindowClosed ? 0 : Math.Max(0, options.WindowBytes - _arrived.Count);

    private byte State_NeedsLock =>
        _isReset ? TcpInfo.Closed
        : !_finSent ? (_peerFin ? TcpInfo.CloseWait : TcpInfo.Established)
        : !_finAcknowledged ? (_peerFin ? LastAck : TcpInfo.FinWait1)
        : _peerFin ? TcpInfo.Closed : TcpInfo.FinWait2;

    /// <summary>The server sends from the front of a buffer, once the kernel has room.</summary>
    public async ValueTask<long> SendAsync(ReadOnlySequence<byte> bytes)
    {
        while (true)
        {
            Task changed;
            var accepted = 0L;
            lock (_lock)
            {
                ThrowIfOver_NeedsLock();
                changed = _changed.Task;
                var passes = _isVanished || _holdsAcknowledgements ? 0 : Window_NeedsLock;
                var room = (long)options.SendBufferBytes + passes - (_acceptedBytes - _acknowledgedBytes);
                accepted = Math.Min(bytes.Length, Math.Max(0, room));
                _queued.Add(bytes.Slice(0, accepted));
                _acceptedBytes += accepted;
            }

            if (accepted > 0 || bytes.IsEmpty)
            {
                Flow();
                return accepted;
            }

            await changed.ConfigureAwait(false);
        }
    }

    /// <summary>The server sends FIN.</summary>
    public void SendFin()
    {
        lock (_lock)
        {
            ThrowIfOver_NeedsLock();
            _finSent = true;
        }

        Flow();
    }

    /// <summary>The next close sends RST.</summary>
    public void ResetOnClose()
    {
        lock (_lock)
        {
            _resetsOnClose = true;
        }
    }

    /// <summary>The server closes its socket: by FIN behind everything, unless something asks for RST.</summary>
    public void Close(bool resets)
    {
        lock (_lock)
        {
            if (_isClosed)
            {
                return;
            }

            _isClosed = true;
            if ((resets || _resetsOnClose) && !_isReset)
            {
                ResetByServer_NeedsLock();
            }

            _finSent |= !_isReset;
        }

        Flow();
    }

    /// <summary>Gets what the server's kernel tells of the connection.</summary>
    public bool TryGetTcpInfo(out TcpInfo info)
    {
        var now = options.TimeProvider.GetTimestamp();
        lock (_lock)
        {
            info = new TcpInfo(
                State_NeedsLock,
                _acknowledgedBytes + (_finAcknowledged ? 1 : 0),
                _receivedBytes + (_peerFin ? 1 : 0),
                _arrivedBytes,
                options.TimeProvider.GetElapsedTime(_lastReceivedAt, now),
                Window_NeedsLock == 0);
            return !_isClosed;
        }
    }

    // Moves what can move, and lets everybody who waits look again.
    private void Flow()
    {
        TaskCompletionSource changed;
        PeerSaw? end;
        var peerResets = false;
        lock (_lock)
        {
            if (!_isVanished && !_isReset)
            {
                var beforeReset = Math.Max(0, _resetsAt - _arrivedBytes);
                var passes = (int)Math.Min(Math.Min(_queued.Count, Window_NeedsLock), beforeReset);
                _arrived.Add(new ReadOnlySequence<byte>(_queued.Take(passes)));
                _arrivedBytes += passes;
                if (_arrivedBytes >= _resetsAt)
                {
                    peerResets = _isReset = true;
                }
                else
                {
                    Arrive_NeedsLock();
                }
            }

            end = _isResetByServer && !_isVanished ? PeerSaw.Reset : _finArrived ? PeerSaw.Eof : null;
            (changed, _changed) = (_changed, new TaskCompletionSource());
        }

        if (end is { } seen)
        {
            log.OnEnded(seen);
        }

        if (peerResets)
        {
            Inline.Run(static kernel => kernel.PeerResets?.Invoke(), this);
        }

        Inline.Run(static changed => changed.TrySetResult(), changed);
    }

    private void Arrive_NeedsLock()
    {
        _finArrived |= _finSent && _queued.Count == 0;
        if (!_holdsAcknowledgements)
        {
            (_acknowledgedBytes, _finAcknowledged) = (_arrivedBytes, _finArrived);
        }
    }

    private void ResetByServer_NeedsLock()
    {
        _isReset = _isResetByServer = true;
        _queued.Clear(); // What was on its way is thrown away.
    }

    private void ThrowIfOver_NeedsLock()
    {
        ObjectDisposedException.ThrowIf(_isClosed, typeof(Socket));
        if (_isReset)
        {
            throw new SocketException((int)SocketError.ConnectionReset);
        }
    }
}
