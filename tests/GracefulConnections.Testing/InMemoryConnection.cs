using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Testing;

/// <summary>
/// A connection without a socket: a pipe in each direction, and what a peer can do with them.
/// Everything runs inline, so that what a call brings about has happened when it returns.
/// </summary>
public sealed class InMemoryConnection : ConnectionContext, IDuplexPipe
{
    private readonly CancellationTokenSource _closed = new();
    private readonly Pipe _toHandler;
    private readonly Pipe _toPeer;

    /// <param name="pauseWriterThreshold">
    /// From how many bytes on that the peer has not read a flush waits; 0 for never.
    /// </param>
    /// <param name="pool">
    /// Where both pipes get their memory; <see langword="null"/> for the runtime's own. A
    /// <see cref="PoisoningMemoryPool"/> finds who uses it after its return.
    /// </param>
    public InMemoryConnection(long pauseWriterThreshold = 0, MemoryPool<byte>? pool = null)
    {
        _toHandler = CreatePipe(pauseWriterThreshold: 0, pool);
        _toPeer = CreatePipe(pauseWriterThreshold, pool);
        Transport = this;
        ConnectionClosed = _closed.Token;
    }

    public override string ConnectionId { get; set; } = "in-memory";

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public override IDuplexPipe Transport { get; set; }

    public override CancellationToken ConnectionClosed { get; set; }

    PipeReader IDuplexPipe.Input => _toHandler.Reader;

    PipeWriter IDuplexPipe.Output => _toPeer.Writer;

    /// <summary>Gets why the connection was aborted first; <see langword="null"/> while it was not.</summary>
    public ConnectionAbortedException? AbortReason { get; private set; }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        if (AbortReason is null)
        {
            AbortReason = abortReason;
            _toHandler.Writer.Complete(abortReason);
            _closed.Cancel();
        }
    }

    /// <summary>The peer sends something.</summary>
    public void Send(string text)
    {
        var flush = _toHandler.Writer.WriteAsync(Encoding.ASCII.GetBytes(text));
        if (!flush.IsCompletedSuccessfully)
        {
            throw new InvalidOperationException(
                $"Sending \"{text}\" did not complete at once, although this direction has no limit.");
        }
    }

    /// <summary>The peer sends FIN and goes on reading. As Kestrel's do, the connection's token fires.</summary>
    public void HalfClose()
    {
        _toHandler.Writer.Complete();
        _closed.Cancel();
    }

    /// <summary>The peer resets the connection.</summary>
    public void Reset()
    {
        _toHandler.Writer.Complete(new ConnectionResetException("The peer reset the connection."));
        _closed.Cancel();
    }

    /// <summary>The peer reads what has arrived.</summary>
    public string Receive()
    {
        if (!_toPeer.Reader.TryRead(out var result))
        {
            return string.Empty;
        }

        var text = Encoding.ASCII.GetString(result.Buffer);
        _toPeer.Reader.AdvanceTo(result.Buffer.End);
        return text;
    }

    /// <summary>The peer reads until our FIN.</summary>
    /// <exception cref="ConnectionAbortedException">The output ended with an abort.</exception>
    public async Task<string> ReceiveToEndAsync()
    {
        var text = new StringBuilder();
        while (true)
        {
            var result = await _toPeer.Reader.ReadAsync().AsTask().WaitAsync(WaitLimit.Longest);
            text.Append(Encoding.ASCII.GetString(result.Buffer));
            _toPeer.Reader.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return text.ToString();
            }
        }
    }

    private static Pipe CreatePipe(long pauseWriterThreshold, MemoryPool<byte>? pool) => new(new PipeOptions(
        pool,
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: pauseWriterThreshold,
        resumeWriterThreshold: pauseWriterThreshold / 2,
        useSynchronizationContext: false));
}
