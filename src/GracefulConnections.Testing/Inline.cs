namespace GracefulConnections.Testing;

/// <summary>
/// Runs what continues others' work without the caller's synchronization context, which would send the continuations to
/// another thread: what a call brings about has happened when it returns.
/// </summary>
internal static class Inline
{
    public static void Run<T>(Action<T> action, T argument)
    {
        var context = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            action(argument);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(context);
        }
    }
}
