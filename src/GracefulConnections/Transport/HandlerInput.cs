using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace GracefulConnections.Transport;

/// <summary>
/// The input as the handler sees it: a <see cref="PipeReader"/> like the pipe's own, in front of the pump.
/// </summary>
/// <param name="pump">Who reads.</param>
/// <param name="clock">What time it is.</param>
internal sealed class HandlerInput(ReadPump pump, TimeProvider clock) : PipeReader, IValueTaskSource<ReadResult>
{
    /// <summary>How long a read waits that comes after two which were refused.</summary>
    public static readonly TimeSpan RefusalDelay = TimeSpan.FromSeconds(1);

    private ManualResetValueTaskSourceCore<ReadResult> _wait;
    private int _refusals;

    /// <summary>Gets who reads.</summary>
    public ReadPump Pump => pump;

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) =>
        pump.ReadAsync(cancellationToken);

    public override bool TryRead(out ReadResult result) => pump.TryRead(out result);

    public override void AdvanceTo(SequencePosition consumed) => pump.AdvanceTo(consumed, consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) =>
        pump.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => pump.CancelPendingRead();

    public override void Complete(Exception? exception = null) => pump.Complete();

    [Obsolete("As in the base class.")]
    public override void OnWriterCompleted(Action<Exception?, object?> callback, object? state) =>
        pump.OnWriterCompleted(callback, state);

    /// <summary>Begins a wait of the handler's. Nobody may be waiting.</summary>
    public ValueTask<ReadResult> Wait()
    {
        _wait.Reset();
        return new ValueTask<ReadResult>(this, _wait.Version);
    }

    /// <summary>Ends the wait. The handler may go on inside of this call.</summary>
    public void End(in ReadResult result) => _wait.SetResult(result);

    /// <summary>Ends the wait by an exception. The handler may go on inside of this call.</summary>
    public void End(Exception exception) => _wait.SetException(exception);

    /// <summary>
    /// Ends the wait by a cancellation, on the thread pool: whoever requested the close must not run the handler.
    /// </summary>
    public void EndLater(OperationCanceledException exception) => ThreadPool.UnsafeQueueUserWorkItem(
        static state => state.input.End(state.exception), (input: this, exception), preferLocal: false);

    /// <summary>
    /// Answers a read after one that was refused. A loop that takes the cancellation for a timeout of its own and reads
    /// again would spin, so only two of them are answered at once.
    /// </summary>
    public ValueTask<ReadResult> RefuseAsync(CancellationToken closeRequested) =>
        Interlocked.Increment(ref _refusals) <= 2
            ? ValueTask.FromCanceled<ReadResult>(closeRequested)
            : RefuseLateAsync(closeRequested);

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        if (pump.Kind == InputKind.Transport)
        {
            // As the server's own pipe: a handler that blocks its context while it reads would wait for itself.
            flags &= ~ValueTaskSourceOnCompletedFlags.UseSchedulingContext;
        }

        try
        {
            _wait.OnCompleted(continuation, state, token, flags);
        }
        catch (InvalidOperationException)
        {
            // The same read is awaited twice. An exception from here would end the process, so the second await goes on
            // at once, and finds no result.
            ThreadPool.UnsafeQueueUserWorkItem(continuation, state, preferLocal: false);
        }
    }

    [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
    protected override async ValueTask<ReadResult> ReadAtLeastAsyncCore(
        int minimumSize, CancellationToken cancellationToken)
    {
        while (true)
        {
            var result = await ReadAsync(cancellationToken).ConfigureAwait(false);
            if (result.Buffer.Length >= minimumSize || result.IsCompleted || result.IsCanceled)
            {
                return result;
            }

            AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    private async ValueTask<ReadResult> RefuseLateAsync(CancellationToken closeRequested)
    {
        await Task.Delay(RefusalDelay, clock, CancellationToken.None).ConfigureAwait(false);
        throw InputErrors.CreateRefused(closeRequested);
    }
}
