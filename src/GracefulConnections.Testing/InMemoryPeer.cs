using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Testing;

/// <summary>The peer of an <see cref="InMemoryConnection"/>, and everything that it and its network can do.</summary>
/// <remarks>
/// It reads nothing unless it is told to. Text is UTF-8. Waits end after 60 s of real time by a
/// <see cref="TimeoutException"/>. Send from one thread at a time.
/// </remarks>
public sealed class InMemoryPeer
{
    private readonly InMemoryConnection _connection;
    private readonly MemoryKernel _kernel;
    private readonly PeerLog _log;
    private readonly TimeProvider _time;
    private readonly List<byte> _unread = [];

    internal InMemoryPeer(InMemoryConnection connection, MemoryKernel kernel, PeerLog log, TimeProvider time) =>
        (_connection, _kernel, _log, _time) = (connection, kernel, log, time);

    /// <summary>Gets what the peer saw so far, and when, on the connection's clock.</summary>
    public PeerReport Report => _log.Report;

    /// <summary>
    /// Gets how many bytes the server's kernel has for the peer that were not acknowledged; its FIN counts as one. 0
    /// once the server has closed.
    /// </summary>
    public int UnacknowledgedBytes => Math.Max(0, _kernel.SendLength);

    /// <summary>Sends something. If the server has closed the connection, it answers with RST.</summary>
    /// <param name="text">What to send.</param>
    /// <returns>Whether the server's side took it.</returns>
    public bool Send(string text) => Send(Encoding.UTF8.GetBytes(text));

    /// <inheritdoc cref="Send(string)"/>
    /// <param name="bytes">What to send.</param>
    public bool Send(byte[] bytes)
    {
        ArgumentNullException.ThrowIfNull(bytes);
        if (!_kernel.TryReceive(bytes.Length))
        {
            return false;
        }

        _connection.Receive(bytes);
        return true;
    }

    /// <summary>Sends something after a time on the connection's clock, for example behind the server's FIN.</summary>
    /// <param name="after">The time, at least zero.</param>
    /// <param name="text">What to send.</param>
    /// <returns>A timer. Its disposal takes the bytes back.</returns>
    public ITimer SendLater(TimeSpan after, string text) => _time.CreateTimer(
        _ => Send(text), null, after, Timeout.InfiniteTimeSpan);

    /// <summary>Sends FIN and goes on reading. The connection's token fires, as on Kestrel.</summary>
    public void HalfClose()
    {
        if (_kernel.TryReceiveFin())
        {
            _connection.OnPeerFin();
        }
    }

    /// <summary>Sends RST.</summary>
    public void Reset()
    {
        if (_kernel.TryReceiveReset())
        {
            _connection.OnPeerReset();
        }
    }

    /// <summary>Sends RST as soon as it has received so many bytes since the connect, read or not.</summary>
    /// <param name="bytes">How many, 0 or more; at once if they have come already.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="bytes"/> is negative.</exception>
    public void ResetAfter(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        _kernel.ResetAt(bytes);
    }

    /// <summary>Vanishes without a packet: from now on nothing arrives on either side.</summary>
    public void Vanish() => _kernel.Vanish();

    /// <summary>Takes nothing more, whatever is read. What the server sends stays in its kernel.</summary>
    public void CloseWindow() => _kernel.SetWindowClosed(true);

    /// <summary>Takes as much again as <see cref="InMemoryConnectionOptions.WindowBytes"/> allows.</summary>
    public void OpenWindow() => _kernel.SetWindowClosed(false);

    /// <summary>
    /// Holds acknowledgements back: what the server sends arrives, and the server does not learn of it.
    /// </summary>
    public void HoldAcknowledgements() => _kernel.HoldAcknowledgements(true);

    /// <summary>Sends the acknowledgements that were held back, and those to come.</summary>
    public void ReleaseAcknowledgements() => _kernel.HoldAcknowledgements(false);

    /// <summary>Reads everything that has arrived, and what the server sends as the window opens.</summary>
    /// <returns>The text; empty if nothing has arrived.</returns>
    public string Receive() => Encoding.UTF8.GetString(ReceiveBytes());

    /// <inheritdoc cref="Receive"/>
    /// <returns>The bytes.</returns>
    public byte[] ReceiveBytes()
    {
        Read();
        byte[] bytes = [.. _unread];
        _unread.Clear();
        return bytes;
    }

    /// <summary>Waits until what was read ends in <paramref name="ending"/>, a line end for example.</summary>
    /// <param name="ending">The ending, not empty.</param>
    /// <returns>Everything that was read since the last call, the ending included.</returns>
    /// <exception cref="EndOfStreamException">The server's FIN or RST came first.</exception>
    public async Task<string> ReceiveUntilAsync(string ending)
    {
        ArgumentException.ThrowIfNullOrEmpty(ending);
        var last = Encoding.UTF8.GetBytes(ending);
        while (true)
        {
            var changed = _kernel.Changed;
            var end = Report.End;
            Read();
            if (_unread.Count >= last.Length && _unread[^last.Length..].SequenceEqual(last))
            {
                return Receive();
            }

            if (end is not null)
            {
                throw new EndOfStreamException($"The connection ended by {end} behind \"{Receive()}\".");
            }

            await changed.WithinLimit();
        }
    }

    /// <summary>Reads until the server's FIN.</summary>
    /// <returns>Everything that was read since the last call.</returns>
    /// <exception cref="ConnectionResetException">The server's RST came.</exception>
    public async Task<string> ReceiveToEndAsync() =>
        await EndedAsync() == PeerSaw.Eof
            ? Receive()
            : throw new ConnectionResetException($"The server reset the connection behind \"{Receive()}\".");

    /// <summary>Reads until the server's FIN or RST. What was read stays for the next call that receives.</summary>
    /// <returns>Which of the two it was.</returns>
    public async Task<PeerSaw> EndedAsync()
    {
        while (true)
        {
            var changed = _kernel.Changed;
            Read();
            if (Report.End is { } end)
            {
                Read();
                return end;
            }

            await changed.WithinLimit();
        }
    }

    private void Read()
    {
        while (_kernel.Read() is { Length: > 0 } bytes)
        {
            _unread.AddRange(bytes);
        }
    }
}
