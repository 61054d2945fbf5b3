namespace GracefulConnections;

/// <summary>
/// How the whole host is emptied of connections when it stops. Checked when the host starts; bad values stop it before
/// it listens.
/// </summary>
/// <remarks>
/// Every time must be shorter than one day: in configuration a number alone, such as <c>10</c>, is ten days to .NET.
/// Write <c>00:00:10</c>. A reload of the configuration changes nothing.
/// </remarks>
public class ServerDrainOptions
{
    /// <summary>
    /// Gets or sets how long the server goes on accepting and serving after the drain was announced, so that load
    /// balancers see the failing readiness check and send no new connections. Defaults to zero.
    /// </summary>
    /// <value>Zero or more, finite.</value>
    /// <remarks>
    /// <c>IHostApplicationLifetime.StopApplication()</c>, by a signal or by code, fires <c>ApplicationStopping</c> when
    /// this time is over, and returns at once. <c>IHost.StopAsync()</c> waits for it before it fires.
    /// </remarks>
    public TimeSpan AnnounceDelay { get; set; }

    /// <summary>
    /// Gets or sets the longest time for the drain, from <see cref="IDrainCoordinator.DrainStarted"/> on (the
    /// announcement's delay comes before it). Then what is left is aborted. Defaults to 20 seconds. All drain steps
    /// together get half of it at most.
    /// </summary>
    /// <value>A positive, finite time.</value>
    /// <remarks>
    /// <see cref="AnnounceDelay"/>, this and two more seconds for aborted connections and the exit must fit into the
    /// host's <c>HostOptions.ShutdownTimeout</c>, which is raised when it is shorter. While Kestrel reloads its
    /// configuration, an endpoint that stops has 4.5 seconds at most, because Kestrel itself aborts its connections
    /// after 5. That is shorter than the default <see cref="GracefulCloseOptions.MessageGap"/>.
    /// </remarks>
    public TimeSpan DrainTimeout { get; set; } = TimeSpan.FromSeconds(20); // Fits into the 30 s of a host and of a pod.

    /// <summary>
    /// Gets or sets the time over which the close requests are spread, at an even rate, idle connections first, so that
    /// not all peers reconnect at once. Defaults to zero: all at once.
    /// </summary>
    /// <value>Zero or more, and less than <see cref="DrainTimeout"/>.</value>
    public TimeSpan SpreadWindow { get; set; }

    /// <summary>
    /// Gets or sets the longest silence to accept while draining between the delivery of all output and the peer's FIN.
    /// Caps <see cref="GracefulCloseOptions.LingerIdleTimeout"/>, never extends it. Also caps the wait for the
    /// acknowledgement of nothing but this side's FIN. Defaults to 1 second.
    /// </summary>
    /// <value>A positive time, or <see cref="Timeout.InfiniteTimeSpan"/> for the endpoint's own.</value>
    /// <remarks>
    /// Both end in <see cref="CloseOutcome.LingerTimedOut"/>, and lose nothing that the handler wrote. A peer that has
    /// vanished never acknowledges the FIN, and would otherwise hold the drain for
    /// <see cref="GracefulCloseOptions.FlushStallTimeout"/>.
    /// </remarks>
    public TimeSpan LingerIdleTimeout { get; set; } = TimeSpan.FromSeconds(1); // Five round trips around the world.

    /// <summary>
    /// Gets or sets how often a line says how many connections are left, and who is holding the drain and why. Defaults
    /// to 1 second.
    /// </summary>
    /// <value>At least 100 milliseconds, or <see cref="Timeout.InfiniteTimeSpan"/> for no such line.</value>
    public TimeSpan ReportInterval { get; set; } = TimeSpan.FromSeconds(1);
}
