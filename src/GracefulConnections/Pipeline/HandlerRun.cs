using System.Threading.Tasks.Sources;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Pipeline;

/// <summary>
/// A handler's run on a thread of its own, which the server need not wait for: neither a task that never completes nor a handler that blocks its thread can hold a host that stops.
/// </summary>
internal sealed class HandlerRun(ConnectionDelegate next, ConnectionContext connection) : IThreadPoolWorkItem, IValueTaskSource<Task?>
{
    // With it go the log scopes of the server.
    private readonly ExecutionContext? _context = ExecutionContext.Capture();

    private ManualResetValueTaskSourceCore<Task?> _end;
    private Task _handler = Task.CompletedTask;
    private int _ended;

    /// <summary>Starts the handler.</summary>
    /// <returns>The handler's task, which has completed, or <see langword="null"/> when it was abandoned.</returns>
    public ValueTask<Task?> RunAsync()
    {
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: true);
        return new ValueTask<Task?>(this, _end.Version);
    }

    /// <summary>Ends the wait for the handler.</summary>
    public void Abandon()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            _end.RunContinuationsAsynchronously = true; // Of many, each goes its own way.
            _end.SetResult(null);
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

    Task? IValueTaskSource<Task?>.GetResult(short token) => _end.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<Task?>.GetStatus(short token) => _end.GetStatus(token);

    void IValueTaskSource<Task?>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _end.OnCompleted(continuation, state, token, flags);

    private void Start()
    {
        if (Volatile.Read(ref _ended) != 0)
        {
            return; // Abandoned before it began: the connection is the server's again.
        }

        try
        {
            _handler = next(connection) ?? throw new InvalidOperationException("The connection's handler returned no task.");
        }
        catch (Exception exception)
        {
            _handler = Task.FromException(exception); // A handler that throws before its first await; the middleware awaits the task.
        }

        if (_handler.IsCompleted)
        {
            OnHandlerEnded();
        }
        else
        {
            _handler.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(OnHandlerEnded);
        }
    }

    private void OnHandlerEnded()
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            _end.SetResult(_handler);
        }
        else
        {
            _ = _handler.Exception; // Nobody awaits an abandoned handler; its exception was observed here.
        }
    }
}
