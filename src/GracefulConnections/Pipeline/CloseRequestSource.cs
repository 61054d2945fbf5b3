namespace GracefulConnections.Pipeline;

/// <summary>
/// The token that tells a handler to close. It is made when somebody first looks at it, because most handlers never do.
/// </summary>
internal sealed class CloseRequestSource
{
    private bool _isRequested;

    public CancellationToken Token
    {
        get
        {
            lock (this)
            {
                if (Source is null)
                {
                    Source = new CancellationTokenSource();
                    if (_isRequested)
                    {
                        Source.Cancel(); // Nobody has registered yet, so this runs no callback.
                    }
                }

                return Source.Token;
            }
        }
    }

    private CancellationTokenSource? Source { get; set; }

    /// <summary>Cancels the token, which runs the application's callbacks.</summary>
    /// <exception cref="AggregateException">Callbacks threw. All of them ran.</exception>
    public void Request()
    {
        CancellationTokenSource? source;
        lock (this)
        {
            _isRequested = true;
            source = Source;
        }

        source?.Cancel();
    }
}
