using System.Threading.Tasks.Sources;
using GracefulConnections.Draining;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// A tracked connection whose handler runs in a work item of its own, which the server need not wait for: neither a
/// task that never completes nor a handler that blocks its thread can hold a host that stops.
/// </summary>
internal abstract class HandlerRun : TrackedConnection, IValueTaskSource
{
    private object? _handler; // The handler; from its start on, its task.
    private ManualResetValueTaskSourceCore<bool> _end;
    private volatile Run _state;

    private enum Run : byte
    {
        Running,
        Ended,
        Abandoned,
    }

    /// <summary>Gets the handler's task, once it has completed.</summary>
    public Task Handler => (Task)_handler!;

    /// <summary>Gets whether the handler has come to its first await, or to its end.</summary>
    public bool HasPaused => Volatile.Read(ref _handler) is Task;

    /// <summary>Gets whether nobody waits for the handler any more.</summary>
    public bool IsAbandoned => _state == Run.Abandoned;

    /// <summary>Gets the connection as the handler gets it.</summary>
    protected abstract ConnectionContext Connection { get; }

    // A middleware has chosen where the handler runs, for example a thread for each connection because it blocks. There
    // nobody can be kept waiting but the one who chose it.
    private static bool IsPlaceChosen => !Thread.CurrentThread.IsThreadPoolThread
        || TaskScheduler.Current != TaskScheduler.Default
        || SynchronizationContext.Current is not null;

    /// <summary>Starts the handler: in the place that was chosen for it, else in a work item of its own.</summary>
    /// <returns>A task that completes, without an exception, when the handler has ended or was abandoned.</returns>
    public ValueTask RunAsync(ConnectionDelegate handler)
    {
        if (_state == Run.Ended)
        {
            _end.Reset(); // It runs again.
            _state = Run.Running;
        }

        _handler = handler;
        if (IsPlaceChosen)
        {
            Start();
        }
        else
        {
            ThreadPool.QueueUserWorkItem(static run => run.Start(), this, preferLocal: true); // With the log scopes.
        }

        return new ValueTask(this, _end.Version);
    }

    /// <summary>Ends the wait for the handler, perhaps before it begins.</summary>
    public override void Abandon()
    {
        if (TryLeave(Run.Abandoned))
        {
            _end.RunContinuationsAsynchronously = true; // Of many, each goes its own way.
            _end.SetResult(true);
        }
    }

    void IValueTaskSource.GetResult(short token) => _end.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _end.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _end.OnCompleted(continuation, state, token, flags);

    /// <summary>Starts the handler on this thread, unless it was abandoned before.</summary>
    protected void Start()
    {
        if (IsAbandoned)
        {
            return; // Before it began: the connection is the server's again.
        }

        // For a handler that waits for a drain of its own connection. It flows with the handler's context only.
        Caller.Value = this;
        Task handler;
        try
        {
            handler = ((ConnectionDelegate)_handler!)(Connection)
                ?? throw new InvalidOperationException(
                    "The connection's handler returned null, and it must return a task. Use Task.CompletedTask.");
        }
        catch (Exception exception)
        {
            // A handler that throws before its first await. The middleware awaits the task.
            handler = Task.FromException(exception);
        }

        Volatile.Write(ref _handler, handler);
        if (handler.IsCompleted)
        {
            OnHandlerEnded();
        }
        else
        {
            handler.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(OnHandlerEnded);
        }
    }

    private bool TryLeave(Run run) =>
        Interlocked.CompareExchange(ref _state, run, Run.Running) == Run.Running;

    private void OnHandlerEnded()
    {
        if (TryLeave(Run.Ended))
        {
            _end.SetResult(true);
        }
        else
        {
            _ = Handler.Exception; // Nobody awaits an abandoned handler; its exception was observed here.
        }
    }
}
