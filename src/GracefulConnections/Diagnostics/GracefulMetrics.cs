using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// What connections tell the meter. Names and units follow OpenTelemetry; every tag has few values.
/// </summary>
internal sealed class GracefulMetrics
{
    private const string ErrorTypeTag = "error.type"; // As in OpenTelemetry, and in Kestrel's own metrics.

    private readonly UpDownCounter<long> _active;
    private readonly UpDownCounter<long> _closing;
    private readonly Histogram<double> _closeDuration;
    private readonly Counter<long> _discardedBytes;
    private readonly Counter<long> _unacknowledgedBytes;
    private readonly ListenerGuard _guard;
    private readonly bool _isServer;

    /// <param name="factory">Who makes the meter; <see langword="null"/> for one that all share.</param>
    /// <param name="logger">Who is told of a listener that throws.</param>
    /// <param name="isServer">Whether an endpoint accepts the connections.</param>
    public GracefulMetrics(IMeterFactory? factory, ILogger? logger = null, bool isServer = true)
    {
        _guard = new ListenerGuard(logger);
        _isServer = isServer;
        var meter = factory?.Create(GracefulTelemetry.MeterName) ?? Shared.Meter;
        _active = meter.CreateUpDownCounter<long>(
            GracefulTelemetry.ActiveConnections,
            "{connection}",
            "Connections that have not ended, closing ones included.");
        _closing = meter.CreateUpDownCounter<long>(
            GracefulTelemetry.ClosingConnections,
            "{connection}",
            "Connections whose handler has returned and that have not ended.");
        _closeDuration = meter.CreateHistogram(
            GracefulTelemetry.CloseDuration,
            "s",
            "Time from the handler's return to the end of the connection.",
            advice: new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries =
                    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
            });
        _discardedBytes = meter.CreateCounter<long>(
            GracefulTelemetry.DiscardedBytes, "By", "Bytes that peers sent and no handler consumed.");
        _unacknowledgedBytes = meter.CreateCounter<long>(
            GracefulTelemetry.UnacknowledgedBytes, "By", "Bytes that handlers wrote and peers never acknowledged.");
    }

    /// <summary>
    /// Returns the tag value of an outcome. Written out, so that renaming a member renames no metric.
    /// </summary>
    public static string Tag(CloseOutcome outcome) => outcome switch
    {
        CloseOutcome.None => "none",
        CloseOutcome.Graceful => "graceful",
        CloseOutcome.Acknowledged => "acknowledged",
        CloseOutcome.LeftToServer => "left_to_server",
        CloseOutcome.FlushTimedOut => "flush_timed_out",
        CloseOutcome.LingerTimedOut => "linger_timed_out",
        CloseOutcome.LingerLimitExceeded => "linger_limit_exceeded",
        CloseOutcome.LingerEvicted => "linger_evicted",
        CloseOutcome.CloseTimedOut => "close_timed_out",
        CloseOutcome.PeerReset => "peer_reset",
        CloseOutcome.Aborted => "aborted",
        _ => throw new UnreachableException($"{outcome} has no tag."),
    };

    /// <summary>Returns the tag value of a reason.</summary>
    public static string Tag(CloseReason reason) => reason switch
    {
        CloseReason.None => "none",
        CloseReason.HandlerCompleted => "handler_completed",
        CloseReason.HandlerFaulted => "handler_faulted",
        CloseReason.PeerReset => "peer_reset",
        CloseReason.HostStopping => "host_stopping",
        CloseReason.Drain => "drain",
        CloseReason.IdleTimeout => "idle_timeout",
        CloseReason.MaxConnectionAge => "max_connection_age",
        CloseReason.Application => "application",
        CloseReason.Handover => "handover",
        _ => throw new UnreachableException($"{reason} has no tag."),
    };

    /// <summary>Returns whether the peer may lack something, or ended the connection by force.</summary>
    public static bool IsError(CloseOutcome outcome) => outcome is
        CloseOutcome.FlushTimedOut
        or CloseOutcome.LingerLimitExceeded
        or CloseOutcome.CloseTimedOut
        or CloseOutcome.PeerReset
        or CloseOutcome.Aborted;

    /// <summary>A connection has begun.</summary>
    /// <returns>
    /// Whether it is counted: one that began before anybody listened must not be subtracted at its end.
    /// </returns>
    public bool Opened(BaseConnectionContext connection)
    {
        Change(_active, 1, connection);
        return _active.Enabled || _closing.Enabled;
    }

    /// <summary>The handler of a connection that is counted has returned.</summary>
    public void CloseStarted(BaseConnectionContext connection) => Change(_closing, 1, connection);

    /// <summary>A connection has ended.</summary>
    /// <param name="connection">The connection.</param>
    /// <param name="result">How it ended.</param>
    /// <param name="isCounted">What <see cref="Opened"/> returned.</param>
    /// <param name="wasClosing">Whether its handler had returned.</param>
    public void Closed(BaseConnectionContext connection, in CloseResult result, bool isCounted, bool wasClosing)
    {
        // One by one: a listener of one instrument must not cost the others their numbers.
        if (isCounted)
        {
            Change(_active, -1, connection);
        }

        if (isCounted && wasClosing)
        {
            Change(_closing, -1, connection);
        }

        var call = (metrics: this, connection, result);
        if (_closeDuration.Enabled)
        {
            _guard.Run(static state => state.metrics.RecordDuration(state.connection, state.result), call);
        }

        if (_discardedBytes.Enabled && result.DiscardedBytes > 0)
        {
            _guard.Run(static state => state.metrics.AddDiscarded(state.connection, state.result), call);
        }

        if (_unacknowledgedBytes.Enabled && result.UnacknowledgedBytes > 0)
        {
            _guard.Run(static state => state.metrics.AddUnacknowledged(state.connection, state.result), call);
        }
    }

    private void Change(UpDownCounter<long> counter, long change, BaseConnectionContext connection)
    {
        if (counter.Enabled)
        {
            _guard.Run(
                static state => state.counter.Add(state.change, state.metrics.GetTags(state.connection)),
                (metrics: this, counter, change, connection));
        }
    }

    private void RecordDuration(BaseConnectionContext connection, in CloseResult result)
    {
        var tags = GetTags(connection);
        tags.Add(GracefulTelemetry.OutcomeTag, Tag(result.Outcome));
        tags.Add(GracefulTelemetry.ReasonTag, Tag(result.Reason));
        if (IsError(result.Outcome))
        {
            tags.Add(ErrorTypeTag, Tag(result.Outcome));
        }

        _closeDuration.Record(result.Duration.TotalSeconds, tags);
    }

    private void AddDiscarded(BaseConnectionContext connection, in CloseResult result) =>
        _discardedBytes.Add(result.DiscardedBytes, GetTags(connection));

    private void AddUnacknowledged(BaseConnectionContext connection, in CloseResult result)
    {
        var tags = GetTags(connection);
        tags.Add(GracefulTelemetry.OutcomeTag, Tag(result.Outcome));
        _unacknowledgedBytes.Add(result.UnacknowledgedBytes!.Value, tags);
    }

    private TagList GetTags(BaseConnectionContext connection)
    {
        var tags = default(TagList);
        ConnectionTags.Add(ref tags, connection.LocalEndPoint, _isServer);
        return tags;
    }

    private static class Shared
    {
        public static readonly Meter Meter = new(GracefulTelemetry.MeterName);
    }
}
