namespace GracefulConnections.Testing;

/// <content>What the peer does.</content>
internal sealed partial class MemoryKernel
{
    /// <summary>Bytes of the peer's arrive at the server.</summary>
    /// <returns>Whether there is somebody to hand them to. If the server has closed, it answers with RST.</returns>
    public bool TryReceive(int count)
    {
        var now = options.TimeProvider.GetTimestamp();
        lock (_lock)
        {
            if (_isVanished || _isReset || _peerFin)
            {
                return false;
            }

            if (!_isClosed)
            {
                _receivedBytes += count;
                _lastReceivedAt = now;
                return true;
            }

            ResetByServer_NeedsLock();
        }

        Flow();
        return false;
    }

    /// <summary>The peer's FIN arrives at the server.</summary>
    /// <returns>Whether it is the first, on a connection that goes on.</returns>
    public bool TryReceiveFin()
    {
        lock (_lock)
        {
            if (_isVanished || _isReset || _peerFin)
            {
                return false;
            }

            _peerFin = true;
        }

        Flow();
        return true;
    }

    /// <summary>The peer's RST arrives at the server.</summary>
    public bool TryReceiveReset()
    {
        lock (_lock)
        {
            if (_isVanished || _isReset)
            {
                return false;
            }

            _isReset = true; // What was not acknowledged stays in the queue, where the server can count it.
        }

        Flow();
        return true;
    }

    /// <summary>The peer reads everything that has arrived, and so opens the window for more.</summary>
    public byte[] Read()
    {
        byte[] read;
        lock (_lock)
        {
            read = _arrived.Take(_arrived.Count).ToArray();
        }

        if (read.Length > 0)
        {
            log.OnReceived(read.Length);
            Flow();
        }

        return read;
    }

    /// <summary>Gets what completes when something changes. Get it before the look.</summary>
    public Task Changed
    {
        get
        {
            lock (_lock)
            {
                return _changed.Task;
            }
        }
    }

    public void SetWindowClosed(bool isClosed)
    {
        lock (_lock)
        {
            _isWindowClosed = isClosed;
        }

        Flow();
    }

    public void HoldAcknowledgements(bool holds)
    {
        lock (_lock)
        {
            _holdsAcknowledgements = holds;
        }

        Flow();
    }

    public void ResetAt(long bytes)
    {
        lock (_lock)
        {
            _resetsAt = bytes;
        }

        Flow();
    }

    public void Vanish()
    {
        lock (_lock)
        {
            _isVanished = true;
        }
    }
}
