using System.IO.Pipelines;
using System.Threading.Tasks.Sources;

namespace GracefulConnections.Transport;

/// <summary>
/// What a handler that reads needs, and a connection that lingers does not: its wait, and the buffer that it holds.
/// </summary>
/// <param name="isTransports">Whether the reader below is the transport's own.</param>
internal sealed class HandlerWait(bool isTransports) : IValueTaskSource<ReadResult>
{
    private ManualResetValueTaskSourceCore<bool> _wait; // Its result would be as large as it.

    /// <summary>Gets or sets what the handler holds, or is about to be handed.</summary>
    public ReadResult Result { get; set; }

    /// <summary>Gets or sets the token of the handler's read.</summary>
    public CancellationToken Token { get; set; }

    /// <summary>Gets or sets whether the handler held a buffer when it began the read.</summary>
    public bool HeldBefore { get; set; }

    /// <summary>Gets whether the handler has taken the result. Until then it may ask for it again.</summary>
    public bool IsTaken { get; private set; } = true;

    /// <summary>Gets or sets the task that waits for the read whose result the handler is to have.</summary>
    public ValueTask Forward { get; set; }

    public ValueTask<ReadResult> Task => new(this, _wait.Version);

    /// <summary>Begins a wait. Nobody may be waiting.</summary>
    public void Begin(bool heldBefore, CancellationToken token)
    {
        _wait.Reset();
        IsTaken = false;
        (Token, HeldBefore) = (token, heldBefore);
    }

    /// <summary>
    /// Ends the wait, with what <see cref="Result"/> is when the handler takes it: by then somebody else may have taken
    /// it back. The handler may go on inside of this call.
    /// </summary>
    public void End() => _wait.SetResult(true);

    /// <summary>Ends the wait with an error. The handler may go on inside of this call.</summary>
    public void End(Exception exception) => _wait.SetException(exception);

    /// <summary>Ends the wait on the thread pool: whoever requested the close must not run the handler.</summary>
    public void EndLater(OperationCanceledException exception) => ThreadPool.UnsafeQueueUserWorkItem(
        static state => state.wait.End(state.exception), (wait: this, exception), preferLocal: false);

    ReadResult IValueTaskSource<ReadResult>.GetResult(short token)
    {
        _wait.GetResult(token);
        IsTaken = true;
        return Result;
    }

    ValueTaskSourceStatus IValueTaskSource<ReadResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<ReadResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        if (isTransports)
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
}
