using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// The meter <c>GracefulConnections</c>. Names and units follow OpenTelemetry; every tag has few values.
/// </summary>
internal sealed class GracefulMetrics
{
    public const string MeterName = "GracefulConnections";
    public const string OutcomeTag = "graceful.close.outcome";
    public const string ReasonTag = "graceful.close.reason";

    private readonly UpDownCounter<long> _active;
    private readonly UpDownCounter<long> _closing;
    private readonly Histogram<double> _closeDuration;
    private readonly Counter<long> _discardedBytes;
    private readonly Counter<long> _unacknowledgedBytes;

    private readonly ILogger? _logger;
    private int _hasLogged;

    /// <param name="factory">Who makes the meter; <see langword="null"/> for one that all share.</param>
    /// <param name="logger">Who is told of a listener that throws.</param>
    public GracefulMetrics(IMeterFactory? factory, ILogger? logger = null)
    {
        _logger = logger;
        var meter = factory?.Create(MeterName) ?? Shared.Meter;
        _active = meter.CreateUpDownCounter<long>(
            "graceful.connections.active", "{connection}", "Connections that have not ended, closing ones included.");
        _closing = meter.CreateUpDownCounter<long>(
            "graceful.connections.closing",
            "{connection}",
            "Connections whose handler has returned and that have not ended.");
        _closeDuration = meter.CreateHistogram(
            "graceful.close.duration",
            "s",
            "Time from the handler's return to the end of the connection.",
            advice: new InstrumentAdvice<double>
            {
                HistogramBucketBoundaries =
                    [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120],
            });
        _discardedBytes = meter.CreateCounter<long>(
            "graceful.close.discarded", "By", "Bytes that peers sent and no handler consumed.");
        _unacknowledgedBytes = meter.CreateCounter<long>(
            "graceful.close.unacknowledged", "By", "Bytes that handlers wrote and peers never acknowledged.");
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

    public void Opened() => Guard(static (metrics, _) => metrics._active.Add(1), default);

    public void CloseStarted() => Guard(static (metrics, _) => metrics._closing.Add(1), default);

    public void Closed(in CloseResult result, bool wasClosing)
    {
        // One by one: a listener of one instrument must not cost the others their numbers.
        Guard(static (metrics, _) => metrics._active.Add(-1), result);
        if (wasClosing)
        {
            Guard(static (metrics, _) => metrics._closing.Add(-1), result);
        }

        if (_closeDuration.Enabled)
        {
            Guard(
                static (metrics, result) => metrics._closeDuration.Record(
                    result.Duration.TotalSeconds,
                    new TagList { { OutcomeTag, Tag(result.Outcome) }, { ReasonTag, Tag(result.Reason) } }),
                result);
        }

        if (result.DiscardedBytes > 0)
        {
            Guard(static (metrics, result) => metrics._discardedBytes.Add(result.DiscardedBytes), result);
        }

        if (result.UnacknowledgedBytes > 0)
        {
            Guard(
                static (metrics, result) => metrics._unacknowledgedBytes.Add(
                    result.UnacknowledgedBytes!.Value, new TagList { { OutcomeTag, Tag(result.Outcome) } }),
                result);
        }
    }

    private void Guard(Action<GracefulMetrics, CloseResult> record, in CloseResult result)
    {
        try
        {
            record(this, result);
        }
        catch (Exception exception)
        {
            // A listener's code runs inside of the call. It must not cost a connection its end.
            if (Interlocked.Exchange(ref _hasLogged, 1) == 0 && _logger is not null)
            {
                Log.MeterListenerThrew(_logger, exception);
            }
        }
    }

    private static class Shared
    {
        public static readonly Meter Meter = new(MeterName);
    }
}
