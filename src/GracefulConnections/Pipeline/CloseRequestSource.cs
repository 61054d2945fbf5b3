using GracefulConnections.Diagnostics;

namespace GracefulConnections.Pipeline;

/// <summary>
/// The token that tells a handler to close. It is made when somebody first needs it, because most handlers never do.
/// </summary>
internal struct CloseRequestSource
{
    private CancellationTokenSource? _source;

    public CancellationToken Token => GetSource().Token;

    /// <summary>Cancels the token, which runs the application's callbacks.</summary>
    /// <exception cref="AggregateException">Callbacks threw. All of them ran.</exception>
    public void Request() => GetSource().Cancel();

    private CancellationTokenSource GetSource()
    {
        if (Volatile.Read(ref _source) is { } made)
        {
            return made;
        }

        var source = new CancellationTokenSource();
        Interleaving.Point();
        return Interlocked.CompareExchange(ref _source, source, null) ?? source;
    }
}
