using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Pipeline;

/// <summary>
/// The <c>ConnectionClosed</c> that the handler sees. The server's own fires when its receive loop ends, which a
/// lingering connection keeps alive. Without the library that is right behind the handler's last byte, and code relies
/// on it: from then on nobody can write.
/// </summary>
internal sealed class ClosedToken
{
    private readonly CloseScope _scope;
    private readonly string _connectionId;

    /// <param name="scope">The endpoint's.</param>
    /// <param name="connectionId">Whose token it is.</param>
    /// <param name="original">A token whose end is that of this one, such as the server's own.</param>
    public ClosedToken(CloseScope scope, string connectionId, CancellationToken original)
    {
        (_scope, _connectionId) = (scope, connectionId);
        original.UnsafeRegister(static token => ((ClosedToken)token!).Cancel(), this); // On its thread.
    }

    public CancellationToken Token => Source.Token;

    private CancellationTokenSource Source { get; } = new();

    /// <summary>The callbacks are the application's, so they run on the thread pool.</summary>
    public void Signal() =>
        ThreadPool.UnsafeQueueUserWorkItem(static token => token.Cancel(), this, preferLocal: false);

    private void Cancel()
    {
        try
        {
            Source.Cancel();
        }
        catch (AggregateException exception)
        {
            Log.CloseRequestCallbackFaulted(_scope.Logger, _connectionId, exception);
        }
    }
}
