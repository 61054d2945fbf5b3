using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>A connection without a socket, and its peer. Small pipes, so that a few bytes block.</summary>
internal sealed class MemoryConnection : ConnectionContext, IConnectionLifetimeNotificationFeature, IDuplexPipe
{
    private readonly Lock _gate = new();
    private readonly Pipe _toServer;
    private readonly Pipe _toPeer;
    private readonly CancellationTokenSource _stopping = new();
    private Pending<FlushResult>? _sending;
    private bool _peerFin;
    private bool _over;
    private bool _peerSawEnd;
    private long _sentBytes;
    private long _receivedBytes;
    private int _aborts;

    public MemoryConnection(PipeScheduler scheduler)
    {
        var options = new PipeOptions(null, scheduler, scheduler, pauseWriterThreshold: 1024, resumeWriterThreshold: 512, minimumSegmentSize: 256, useSynchronizationContext: false);
        _toServer = new Pipe(options);
        _toPeer = new Pipe(options);
        Output = new FinGuard(_toPeer.Writer);
        Transport = this;
        Features.Set<IConnectionLifetimeNotificationFeature>(this);
    }

    public override string ConnectionId { get; set; } = "stress";

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public override IDuplexPipe Transport { get; set; }

    public PipeReader Input => _toServer.Reader;

    public FinGuard Output { get; }

    PipeWriter IDuplexPipe.Output => Output;

    public CancellationToken ConnectionClosedRequested
    {
        get => _stopping.Token;
        set => throw new NotSupportedException();
    }

    /// <summary>Gets how often the connection was aborted, by anybody.</summary>
    public int Aborts => Volatile.Read(ref _aborts);

    /// <summary>Gets the bytes that the peer sent and that are in the pipe to the server.</summary>
    public long SentBytes => Volatile.Read(ref _sentBytes);

    /// <summary>Gets the bytes that the peer received, each of them compared with what was written.</summary>
    public long ReceivedBytes => Volatile.Read(ref _receivedBytes);

    public bool PeerSentFin => Volatile.Read(ref _peerFin);

    public bool PeerSawFin => Volatile.Read(ref _peerSawEnd);

    public void RequestClose() => _stopping.Cancel();

    public override void Abort(ConnectionAbortedException abortReason)
    {
        Interlocked.Increment(ref _aborts);
        End(abortReason);
    }

    public void Send(int bytes)
    {
        lock (_gate)
        {
            if (_over || _peerFin || _sending is { IsCompleted: false })
            {
                return; // A peer that is blocked, or has nothing to send with any more.
            }

            Volatile.Write(ref _sentBytes, _sentBytes + bytes);
            _sending = new Pending<FlushResult>(_toServer.Writer.WriteAsync(Pattern.At(_sentBytes - bytes, bytes)));
        }
    }

    public void Receive()
    {
        lock (_gate)
        {
            ReadResult result;
            try
            {
                if (_over || _peerSawEnd || !_toPeer.Reader.TryRead(out result))
                {
                    return;
                }
            }
            catch (ConnectionAbortedException)
            {
                return; // As near to RST as a pipe gets.
            }

            BrokenInvariantException.ThrowIf(!Pattern.Matches(_receivedBytes, result.Buffer), $"the peer received other bytes than were written, somewhere after {_receivedBytes}");
            Volatile.Write(ref _receivedBytes, _receivedBytes + result.Buffer.Length);
            Volatile.Write(ref _peerSawEnd, result.IsCompleted);
            _toPeer.Reader.AdvanceTo(result.Buffer.End);
        }
    }

    public void HalfClose()
    {
        lock (_gate)
        {
            if (!_over && !_peerFin)
            {
                Volatile.Write(ref _peerFin, true);
                _toServer.Writer.Complete();
            }
        }
    }

    public void Reset() => End(new ConnectionResetException("The peer reset the connection."));

    private void End(Exception reason)
    {
        lock (_gate)
        {
            if (_over)
            {
                return;
            }

            _over = true;
            _toServer.Writer.Complete(reason);
            _toPeer.Reader.Complete();
        }
    }
}
