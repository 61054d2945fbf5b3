namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>How much load there is, and how long a replica takes to go.</summary>
/// <param name="Requests">The requests of each kind, at least.</param>
/// <param name="Restarts">How many of the replicas are restarted in a round.</param>
/// <param name="AnnounceDelay">How long a replica goes on serving, so that the load balancer notices.</param>
/// <param name="MessageGap">How long a replica waits for a raw connection whose peer never pauses.</param>
/// <param name="StockTimeout">The same for stock: its <c>ShutdownTimeout</c>.</param>
internal sealed record RollingPlan(
    int Requests, int Restarts, TimeSpan AnnounceDelay, TimeSpan MessageGap, TimeSpan StockTimeout)
{
    /// <summary>The replicas behind the load balancer.</summary>
    public const int Replicas = 3;

    /// <summary>The peers of each kind, which send one request after another.</summary>
    public const int Peers = 8;

    public const int RequestBytes = 16;
    public const int ReplyBytes = 4096;

    /// <summary>Gets how long a replica works on a request.</summary>
    public static TimeSpan Work { get; } = TimeSpan.FromMilliseconds(3);

    /// <summary>Gets the longest pause of a peer between two requests.</summary>
    public static TimeSpan LongestPause { get; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Gets how often the load balancer probes; one failure is enough.</summary>
    public static TimeSpan ProbeInterval { get; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// One restart, with short times: only shows that everything runs. The announcement is as long as in the full run,
    /// because a load balancer that is late with its probe on a busy machine goes on sending to a server that closes.
    /// </summary>
    public static RollingPlan Short { get; } =
        new(330, 1, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(0.3), TimeSpan.FromSeconds(1));

    /// <summary>All replicas once or more, with the library's defaults.</summary>
    public static RollingPlan Create(int requests) =>
        new(requests, Replicas, TimeSpan.FromSeconds(1), new GracefulCloseOptions().MessageGap, TimeSpan.FromSeconds(5));
}
