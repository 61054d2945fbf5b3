using System.Threading.Tasks.Sources;
using GracefulConnections.Draining;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// A handler's run in a work item of its own, which the server need not wait for: neither a task that never completes
/// nor a handler that blocks its thread can hold a host that stops.
/// </summary>
internal sealed class HandlerRun(
    ConnectionDelegate next, ConnectionContext connection, TrackedConnection? tracked = null)
    : IThreadPoolWorkItem, IValueTaskSource
{
    // With it go the log scopes of the server.
    private readonly ExecutionContext? _context = ExecutionContext.Capture();

    private ManualResetValueTaskSourceCore<bool> _end;
    private int _state;

    private enum State
    {
        Running,
        Ended,
        Abandoned,
    }

    /// <summary>Gets the handler's task, once it has completed.</summary>
    public Task Handler { get; private set; } = Task.CompletedTask;

    /// <summary>Gets whether nobody waits for the handler any more.</summary>
    public bool IsAbandoned => Volatile.Read(ref _state) == (int)State.Abandoned;

    /// <summary>Starts the handler.</summary>
    /// <returns>A task that completes, without an exception, when the handler has ended or was abandoned.</returns>
    public ValueTask RunAsync()
    {
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
        return new ValueTask(this, _end.Version);
    }

    /// <summary>Ends the wait for the handler.</summary>
    public void Abandon()
    {
        if (TryLeave(State.Abandoned))
        {
            _end.RunContinuationsAsynchronously = true; // Of many, each goes its own way.
            _end.SetResult(true);
        }
    }

    void IThreadPoolWorkItem.Execute()
    {
        if (_context is null)
        {
            Start();
        }
        else
        {
            ExecutionContext.Run(_context, static state => ((HandlerRun)state!).Start(), this);
        }
    }

    void IValueTaskSource.GetResult(short token) => _end.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _end.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _end.OnCompleted(continuation, state, token, flags);

    private bool TryLeave(State state) =>
        Interlocked.CompareExchange(ref _state, (int)state, (int)State.Running) == (int)State.Running;

    private void Start()
    {
        if (IsAbandoned)
        {
            return; // Before it began: the connection is the server's again.
        }

        try
        {
            // For a handler that waits for a drain of its own connection. It flows with the handler's context only.
            TrackedConnection.Caller.Value = tracked;
            Handler = next(connection)
                ?? throw new InvalidOperationException(
                    "The connection's handler returned null, and it must return a task. Use Task.CompletedTask.");
        }
        catch (Exception exception)
        {
            // A handler that throws before its first await. The middleware awaits the task.
            Handler = Task.FromException(exception);
        }

        if (Handler.IsCompleted)
        {
            OnHandlerEnded();
        }
        else
        {
            Handler.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(OnHandlerEnded);
        }
    }

    private void OnHandlerEnded()
    {
        if (TryLeave(State.Ended))
        {
            _end.SetResult(true);
        }
        else
        {
            _ = Handler.Exception; // Nobody awaits an abandoned handler; its exception was observed here.
        }
    }
}
