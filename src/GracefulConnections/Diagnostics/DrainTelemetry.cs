using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// What drains tell meters and traces. A listener's code runs inside, so nothing here is called under a lock.
/// </summary>
internal sealed class DrainTelemetry
{
    private const string ConnectionsTag = "graceful.drain.connections";

    private static readonly ActivitySource Source = new(GracefulTelemetry.ActivitySourceName);

    private readonly ListenerGuard _guard;
    private readonly Meter? _meter;
    private readonly Counter<long>? _aborted;
    private Activity? _activity;

    /// <param name="factory">
    /// Who makes the meter. <see langword="null"/> for no instruments: in a meter that all hosts share, one that ended
    /// would be observed for ever.
    /// </param>
    /// <param name="logger">Who is told of a listener that throws.</param>
    public DrainTelemetry(IMeterFactory? factory, ILogger logger)
    {
        _guard = new ListenerGuard(logger);
        _meter = factory?.Create(GracefulTelemetry.MeterName);
        _aborted = _meter?.CreateCounter<long>(
            GracefulTelemetry.DrainAborted,
            "{connection}",
            "Connections that drains aborted because their time was up.");
    }

    /// <summary>Lets listeners ask.</summary>
    /// <param name="phase">Returns how far the drain of the whole server is.</param>
    /// <param name="left">Returns how many connections the running drains wait for.</param>
    public void Observe(Func<DrainPhase> phase, Func<int> left)
    {
        _meter?.CreateObservableGauge(
            GracefulTelemetry.DrainPhase,
            () => (int)phase(),
            description: "How far the server's drain is: 0 serving, 1 announced, 2 draining, 3 aborting, 4 drained.");
        _meter?.CreateObservableUpDownCounter(
            GracefulTelemetry.DrainLeft, left, "{connection}", "Connections that the running drains still wait for.");
    }

    /// <summary>The drain of the whole server has reached a phase. Calls must not overlap.</summary>
    public void Reached(DrainPhase phase)
    {
        if (_activity is null && !Source.HasListeners())
        {
            return;
        }

        Run(
            static state =>
            {
                state.telemetry._activity ??= Source.StartActivity(GracefulTelemetry.DrainActivity);
                state.telemetry._activity?.AddEvent(new ActivityEvent(Tag(state.phase)));
            },
            (telemetry: this, phase));
    }

    /// <summary>A drain has ended.</summary>
    /// <param name="report">How it went.</param>
    /// <param name="isWhole">Whether it was the whole server's, whose calls must not overlap.</param>
    public void Ended(DrainReport report, bool isWhole)
    {
        if (_aborted is { Enabled: true } && report.Aborted.Count > 0)
        {
            _guard.Run(static state => state._aborted.Add(state.Count), (_aborted, report.Aborted.Count));
        }

        if (isWhole)
        {
            Run(static state => End(state._activity, state.report), (_activity, report));
        }
    }

    /// <summary>Returns how a trace calls a phase. Written out, so that renaming a member renames no event.</summary>
    public static string Tag(DrainPhase phase) => phase switch
    {
        DrainPhase.Serving => "serving",
        DrainPhase.Announced => "announced",
        DrainPhase.Draining => "draining",
        DrainPhase.Aborting => "aborting",
        DrainPhase.Drained => "drained",
        _ => throw new UnreachableException($"{phase} has no tag."),
    };

    private static void End(Activity? activity, DrainReport report)
    {
        activity?.SetTag(ConnectionsTag, report.ConnectionCount);
        activity?.SetTag(GracefulTelemetry.DrainAborted, report.Aborted.Count);
        activity?.SetTag(GracefulTelemetry.UnacknowledgedBytes, report.UnacknowledgedBytes);
        if (report.Aborted.Count > 0 || report.UnacknowledgedBytes > 0)
        {
            activity?.SetStatus(ActivityStatusCode.Error, $"{report}");
        }

        activity?.Stop();
    }

    // The span is nobody's child and nobody's parent, because a drain begins and ends on threads that do other things.
    private void Run<T>(Action<T> call, T state)
    {
        var current = Activity.Current;
        _guard.Run(
            static state =>
            {
                Activity.Current = null;
                state.call(state.state);
            },
            (call, state));
        _guard.Run(static current => Activity.Current = current, current);
    }
}
