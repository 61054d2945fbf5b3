using System.Threading.Tasks.Sources;

namespace GracefulConnections.Closing;

/// <summary>
/// What one connection's close needs, and an open connection does not: most of them are open and idle for most of their
/// life. Guarded by the closer's lock, but for the wait.
/// </summary>
internal sealed class CloseProgress(CloseFacts facts) : IValueTaskSource
{
    // A task and its completion source for each connection would be as much again.
    private ManualResetValueTaskSourceCore<bool> _end;

    public CloseFacts Facts = facts;
    public TaskCompletionSource<CloseResult>? Closed;
    public LinkedListNode<Closer>? Lingering;
    public bool IsFinished;

    /// <summary>Gets what completes at the end. Await it once.</summary>
    public ValueTask End => new(this, _end.Version);

    /// <param name="here">
    /// Whether the one who waits for the end may go on on this thread, else on the thread pool.
    /// </param>
    public void SetEnd(bool here)
    {
        _end.RunContinuationsAsynchronously = !here;
        _end.SetResult(true);
    }

    void IValueTaskSource.GetResult(short token) => _end.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _end.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _end.OnCompleted(continuation, state, token, flags);
}
