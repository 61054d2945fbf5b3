namespace GracefulConnections;

/// <summary>
/// The names by which operators select what the library reports. They are for life: dashboards and alerts depend on
/// them.
/// </summary>
public static class GracefulTelemetry
{
    /// <summary>The meter. It belongs to the host's <c>IMeterFactory</c>, if there is one.</summary>
    public const string MeterName = "GracefulConnections";

    /// <summary>The activity source, for tracing.</summary>
    public const string ActivitySourceName = "GracefulConnections";

    /// <summary>The category of every log message.</summary>
    public const string LogCategory = "GracefulConnections";

    /// <summary>The connections that have not ended, closing ones included.</summary>
    public const string ActiveConnections = "graceful.connections.active";

    /// <summary>The connections whose handler has returned and that have not ended.</summary>
    public const string ClosingConnections = "graceful.connections.closing";

    /// <summary>The time from the handler's return to the end of the connection, in seconds.</summary>
    public const string CloseDuration = "graceful.close.duration";

    /// <summary>The bytes that peers sent and no handler consumed.</summary>
    public const string DiscardedBytes = "graceful.close.discarded";

    /// <summary>The bytes that handlers wrote and peers never acknowledged.</summary>
    public const string UnacknowledgedBytes = "graceful.close.unacknowledged";

    /// <summary>How far the drain of the whole server is: the number of its <see cref="DrainPhase"/>.</summary>
    public const string DrainPhase = "graceful.drain.phase";

    /// <summary>The connections that the drains which are running still wait for.</summary>
    public const string DrainLeft = "graceful.drain.left";

    /// <summary>The connections that drains aborted because their time was up.</summary>
    public const string DrainAborted = "graceful.drain.aborted";

    /// <summary>
    /// The activity of a drain of the whole server, from its announcement to its end, with an event for each phase.
    /// </summary>
    public const string DrainActivity = "graceful.drain";

    /// <summary>
    /// The tag for a <see cref="CloseOutcome"/>, also on Kestrel's own <c>kestrel.connection.duration</c>.
    /// </summary>
    public const string OutcomeTag = "graceful.close.outcome";

    /// <summary>The tag for a <see cref="CloseReason"/>.</summary>
    public const string ReasonTag = "graceful.close.reason";

    /// <summary>The id of the log message "the drain was announced".</summary>
    public const int DrainAnnouncedEvent = 10;

    /// <summary>The id of the log message "the drain has ended". A Warning if anything was lost.</summary>
    public const int DrainEndedEvent = 13;

    /// <summary>The id of the Warning "the drain aborted connections".</summary>
    public const int DrainAbortedEvent = 14;

    /// <summary>The id of the Warning "outside of a drain, a limit ended a connection that lost output".</summary>
    public const int OutputLostEvent = 28;
}
