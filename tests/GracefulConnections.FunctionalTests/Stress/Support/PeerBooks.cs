using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>A raw peer, and its books.</summary>
internal sealed class PeerBooks(ScriptedPeer peer)
{
    private readonly byte[] _buffer = new byte[64 * 1024];
    private bool _resetBySend;

    public long SentBytes { get; private set; }

    public long ReceivedBytes { get; private set; }

    public bool HalfClosed { get; private set; }

    /// <summary>Gets how the peer's reading ended; <see langword="null"/> before it did.</summary>
    public PeerSaw? Saw { get; private set; }

    public string? Violation { get; private set; }

    public async Task DoAsync(SocketStep step)
    {
        switch (step.Act)
        {
            case SocketAct.Send:
                await SendAsync(step.Bytes);
                break;
            case SocketAct.ReceiveWhatIsThere:
                while (Saw is null && peer.Socket.Available > 0)
                {
                    await ReceiveAsync();
                }

                break;
            case SocketAct.HalfClose:
                HalfClose();
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(step), step, null);
        }
    }

    public async Task EndAsync(PeerEnd end, SocketHandler handler, Task closed)
    {
        switch (end)
        {
            case PeerEnd.HalfClosesAndReads:
                HalfClose();
                break;
            case PeerEnd.StallsUntilTheServerHasClosed:
                await closed.WaitAsync(TestServer.TestLimit);
                break;
            case PeerEnd.HalfClosesAndStallsUntilTheApplicationAborts:
                HalfClose();
                await Task.WhenAny(handler.Ended, closed).WaitAsync(TestServer.TestLimit);
                handler.Abort();
                await closed.WaitAsync(TestServer.TestLimit);
                break;
            case PeerEnd.Resets:
                peer.Reset();
                return;
            default:
                break;
        }

        while (Saw is null)
        {
            await ReceiveAsync();
            if (end == PeerEnd.SendsWhileItReads)
            {
                await SendAsync(100);
            }
        }

        if (end == PeerEnd.ReadsAndNeverCloses)
        {
            await closed.WaitAsync(TestServer.TestLimit);
        }

        if (end is PeerEnd.SendsWhileItReads or PeerEnd.ReadsAndHalfClosesAtTheEnd)
        {
            HalfClose();
        }
    }

    private async Task SendAsync(int bytes)
    {
        if (HalfClosed || Saw == PeerSaw.Reset)
        {
            return;
        }

        try
        {
            await peer.SendAsync(Bytes.At(SentBytes, bytes));
            SentBytes += bytes;
        }
        catch (SocketException)
        {
            _resetBySend = true; // The kernel tells of a reset once: now that a send was told, the last read looks like EOF.
        }
    }

    private async Task ReceiveAsync()
    {
        int received;
        try
        {
            received = await peer.ReceiveAsync(_buffer);
        }
        catch (SocketException)
        {
            Saw = PeerSaw.Reset;
            return;
        }

        if (received == 0)
        {
            Saw = _resetBySend ? PeerSaw.Reset : PeerSaw.Eof;
            return;
        }

        if (!Bytes.Match(ReceivedBytes, _buffer.AsSpan(0, received)))
        {
            Violation ??= $"the peer received other bytes than were written, somewhere after {ReceivedBytes}";
        }

        ReceivedBytes += received;
    }

    private void HalfClose()
    {
        if (HalfClosed)
        {
            return;
        }

        try
        {
            peer.HalfClose();
            HalfClosed = true;
        }
        catch (SocketException)
        {
            _resetBySend = true;
        }
    }
}
