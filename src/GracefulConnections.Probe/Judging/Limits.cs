namespace GracefulConnections.Probe.Judging;

/// <summary>The times that the grade rule names.</summary>
internal static class Limits
{
    /// <summary>
    /// A server that holds a dead connection for longer gets a B. Linux keeps an orphaned FIN_WAIT2 as long.
    /// </summary>
    public static readonly TimeSpan LateRelease = TimeSpan.FromSeconds(60);
}
