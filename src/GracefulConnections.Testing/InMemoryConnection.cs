using System.IO.Pipelines;
using System.Net.Sockets;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Testing;

/// <summary>
/// The server's end of a connection without a socket, as Kestrel makes one of a TCP socket. <see cref="Peer"/> is the
/// other end. Give it to <c>RunGracefullyAsync</c>, to <see cref="RunAsync"/> with a pipeline, or let an
/// <see cref="InMemoryServer"/> make it.
/// </summary>
/// <remarks>
/// A packet takes no time, and everything runs inline: what a call brings about has happened when it returns, unless
/// the code under test goes on on another thread. Time passes only on the connection's clock.
/// </remarks>
public sealed class InMemoryConnection : ConnectionContext, IMemoryPoolFeature, ISocketOwner, IDuplexPipe
{
    private static long _lastId;

    private readonly CancellationTokenSource _closed = new();
    private readonly MemoryKernel _kernel;
    private readonly Pipe _input;
    private readonly Pipe _output;
    private readonly Task _pump;
    private Task<CloseResult>? _result;
    private int _isInputOver;

    /// <summary>Makes a connection.</summary>
    /// <param name="options">What it is like; the defaults if <see langword="null"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range.</exception>
    public InMemoryConnection(InMemoryConnectionOptions? options = null)
    {
        options ??= new InMemoryConnectionOptions();
        options.Validate();
        var log = new PeerLog(options.TimeProvider);
        _kernel = new MemoryKernel(options, log) { PeerResets = OnPeerReset };
        _input = CreatePipe(options, pauseWriterThreshold: 0);
        _output = CreatePipe(options, options.PauseWriterThreshold);
        MemoryPool = options.MemoryPool ?? System.Buffers.MemoryPool<byte>.Shared;
        Transport = this;
        ConnectionClosed = _closed.Token;
        Features.Set<IMemoryPoolFeature>(this);
        if (options.HasKernel)
        {
            Features.Set<KernelQueue>(new MemoryKernelQueue(_kernel));
        }

        Peer = new InMemoryPeer(this, _kernel, log, options.TimeProvider);
        _pump = PumpAsync();
    }

    /// <summary>Gets the other end.</summary>
    public InMemoryPeer Peer { get; }

    /// <inheritdoc/>
    public override string ConnectionId { get; set; } = $"in-memory-{Interlocked.Increment(ref _lastId)}";

    /// <inheritdoc/>
    public override IFeatureCollection Features { get; } = new FeatureCollection();

    /// <inheritdoc/>
    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    /// <inheritdoc/>
    public override IDuplexPipe Transport { get; set; }

    /// <inheritdoc/>
    public override CancellationToken ConnectionClosed { get; set; }

    /// <inheritdoc/>
    public System.Buffers.MemoryPool<byte> MemoryPool { get; }

    /// <summary>Gets why the connection was aborted first; <see langword="null"/> while it was not.</summary>
    public ConnectionAbortedException? AbortReason { get; private set; }

    /// <summary>
    /// Gets the task of <see cref="RunAsync"/>: it fails with what the pipeline threw. Complete while nothing runs.
    /// </summary>
    public Task Running { get; private set; } = Task.CompletedTask;

    /// <summary>Gets how the library closed the connection, once it has; never fails.</summary>
    /// <exception cref="InvalidOperationException">
    /// <c>UseGracefulShutdown()</c> and <c>RunGracefullyAsync</c> are not in use on the connection, or not yet.
    /// </exception>
    public Task<CloseResult> Closed => _result ??= Features.Get<IGracefulCloseFeature>()?.Closed
        ?? throw new InvalidOperationException($"The library does not close the connection {ConnectionId}.");

    PipeReader IDuplexPipe.Input => _input.Reader;

    PipeWriter IDuplexPipe.Output => _output.Writer;

    IDuplexPipe ISocketOwner.OwnTransport => this;

    /// <summary>
    /// Runs a pipeline on the connection as Kestrel does. Behind it, sends what is left in the transport's own output,
    /// then FIN, and closes: bytes of the peer's that come later are answered with RST.
    /// </summary>
    /// <param name="pipeline">What serves the connection, for example what a connection builder has built.</param>
    /// <returns>A task that completes when the connection is closed, and fails with what the pipeline threw.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="pipeline"/> is <see langword="null"/>.</exception>
    public Task RunAsync(ConnectionDelegate pipeline)
    {
        ArgumentNullException.ThrowIfNull(pipeline);
        Inline.Run(start => Running = start.Item1.RunCoreAsync(start.pipeline), (this, pipeline));
        return Running;
    }

    /// <summary>Ends the connection by RST, as Kestrel does.</summary>
    /// <param name="abortReason">
    /// Why. With <see langword="null"/> it is the server's own close, by FIN, as on Kestrel.
    /// </param>
    public override void Abort(ConnectionAbortedException? abortReason)
    {
        AbortReason ??= abortReason;
        _kernel.Close(resets: abortReason is not null);
        EndInput(abortReason ?? new ConnectionAbortedException());
    }

    /// <summary>
    /// Closes the connection at once: by FIN, or by RST if the transport's own output holds something that the server's
    /// kernel does not take. Bytes of the peer's that come later are answered with RST.
    /// </summary>
    public override ValueTask DisposeAsync()
    {
        CompleteTransport();
        Close(resets: !_pump.IsCompleted);
        return base.DisposeAsync();
    }

    internal void Receive(ReadOnlyMemory<byte> bytes) => Inline.Run(
        static received => _ = received.Item1._input.Writer.WriteAsync(received.bytes).AsTask(), (this, bytes));

    internal void OnPeerFin() => EndInput(null);

    internal void OnPeerReset() => EndInput(new ConnectionResetException("The peer reset the connection."));

    // As Kestrel: the token fires when the input has ended, by whatever.
    private void EndInput(Exception? exception)
    {
        if (Interlocked.Exchange(ref _isInputOver, 1) == 0)
        {
            Inline.Run(
                static end =>
                {
                    end.Item1._input.Writer.Complete(end.exception);
                    end.Item1._closed.Cancel();
                },
                (this, exception));
        }
    }

    private async Task RunCoreAsync(ConnectionDelegate pipeline)
    {
        try
        {
            var run = pipeline(this);
            _result = Features.Get<IGracefulCloseFeature>()?.Closed;
            await run.ConfigureAwait(false);
        }
        finally
        {
            CompleteTransport();
            await _pump.ConfigureAwait(false);
            Close(resets: false);
        }
    }

    private void CompleteTransport()
    {
        _input.Reader.Complete();
        _output.Writer.Complete();
    }

    private void Close(bool resets)
    {
        _kernel.Close(resets);
        EndInput(null);
    }

    // Kestrel's own sending. The library does not use it where there is a kernel.
    private async Task PumpAsync()
    {
        try
        {
            while (true)
            {
                var result = await _output.Reader.ReadAsync().ConfigureAwait(false);
                if (result.Buffer.IsEmpty && result.IsCompleted)
                {
                    _kernel.SendFin();
                    break;
                }

                var sent = await _kernel.SendAsync(result.Buffer).ConfigureAwait(false);
                _output.Reader.AdvanceTo(result.Buffer.GetPosition(sent));
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The connection is over, and nobody is left to send to. A flush that waits is told so below.
        }
        catch (Exception exception)
        {
            _kernel.Close(resets: true); // The writer ended by an exception: no peer may take that for a whole reply.
            EndInput(new ConnectionAbortedException(exception.Message, exception));
        }

        await _output.Reader.CompleteAsync().ConfigureAwait(false);
    }

    private static Pipe CreatePipe(InMemoryConnectionOptions options, long pauseWriterThreshold) => new(new PipeOptions(
        options.MemoryPool,
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.Inline,
        pauseWriterThreshold: pauseWriterThreshold,
        resumeWriterThreshold: pauseWriterThreshold / 2,
        useSynchronizationContext: false));
}
