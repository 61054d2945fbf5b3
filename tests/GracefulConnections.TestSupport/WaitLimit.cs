namespace GracefulConnections.TestSupport;

/// <summary>The limit of every wait in this kit.</summary>
public static class WaitLimit
{
    /// <summary>Far beyond what any wait needs, so that reaching it is a failure and not a slow machine.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(60);
}
