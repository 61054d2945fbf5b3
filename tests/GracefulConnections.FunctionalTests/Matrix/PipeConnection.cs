using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>A connection of a transport without a socket: a pipe in each direction, and one for what is on its way to the peer, which holds no more than a kernel does.</summary>
internal sealed class PipeConnection : ConnectionContext, IDuplexPipe
{
    private const int PieceBytes = 16 * 1024;
    private readonly Pipe _fromPeer = new(new PipeOptions(pauseWriterThreshold: 0, useSynchronizationContext: false));
    private readonly Pipe _output = new(new PipeOptions(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024, useSynchronizationContext: false));
    private readonly Pipe _toPeer = new(new PipeOptions(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024, useSynchronizationContext: false));
    private readonly CancellationTokenSource _aborting = new(); // Not disposed: the server may abort what it has disposed of.
    private readonly TaskCompletionSource _aborted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _sending;

    public PipeConnection()
    {
        Transport = this;
        _sending = SendAsync();
    }

    public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public override IDuplexPipe Transport { get; set; }

    /// <summary>Gets where the peer writes.</summary>
    public PipeWriter FromPeer => _fromPeer.Writer;

    /// <summary>Gets where the peer reads.</summary>
    public PipeReader ToPeer => _toPeer.Reader;

    /// <summary>Gets a task that ends when the server aborted the connection.</summary>
    public Task Aborted => _aborted.Task;

    PipeReader IDuplexPipe.Input => _fromPeer.Reader;

    PipeWriter IDuplexPipe.Output => _output.Writer;

    public override void Abort(ConnectionAbortedException abortReason)
    {
        _fromPeer.Writer.Complete(abortReason);
        _aborting.Cancel();
        _aborted.TrySetResult();
    }

    public override async ValueTask DisposeAsync()
    {
        await _output.Writer.CompleteAsync();
        await _sending;
        await base.DisposeAsync();
    }

    private async Task SendAsync()
    {
        Exception? fault = null;
        try
        {
            while (true)
            {
                var result = await _output.Reader.ReadAsync(_aborting.Token);
                var piece = result.Buffer.Slice(0, Math.Min(PieceBytes, result.Buffer.Length));
                piece.CopyTo(_toPeer.Writer.GetSpan(PieceBytes));
                _toPeer.Writer.Advance((int)piece.Length);
                var isOver = result.IsCompleted && piece.Length == result.Buffer.Length;
                _output.Reader.AdvanceTo(piece.End);
                if ((await _toPeer.Writer.FlushAsync(_aborting.Token)).IsCompleted || isOver)
                {
                    break; // The peer has gone, or everything is there.
                }
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or ConnectionAbortedException)
        {
            fault = new ConnectionAbortedException();
        }

        await _output.Reader.CompleteAsync();
        await _toPeer.Writer.CompleteAsync(fault);
    }
}
