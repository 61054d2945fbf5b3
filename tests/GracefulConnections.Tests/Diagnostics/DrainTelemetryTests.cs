using System.Diagnostics;
using System.Diagnostics.Metrics;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GracefulConnections.Tests.Diagnostics;

public sealed class DrainTelemetryTests : IDisposable
{
    // The source is the process's, and other tests drain beside this one. Only what runs in this test's flow is its own.
    private readonly AsyncLocal<bool> _isMine = new() { Value = true };
    private readonly List<Activity> _activities = [];
    private readonly TestDrain _drain = new();
    private ActivityListener? _listener;

    public void Dispose() => _listener?.Dispose();

    [Fact]
    public void Meter_Created_HasTheDocumentedInstruments() => Assert.Equal(
        [
            (typeof(Counter<long>), GracefulTelemetry.DrainAborted, "{connection}"),
            (typeof(ObservableGauge<int>), GracefulTelemetry.DrainPhase, null),
            (typeof(ObservableUpDownCounter<int>), GracefulTelemetry.DrainLeft, "{connection}"),
        ],
        _drain.Meters.Instruments.Select(instrument => (instrument.GetType(), instrument.Name, instrument.Unit)));

    [Fact]
    public void Instruments_WholeDrain_FollowIt()
    {
        _drain.Options.DrainTimeout = TimeSpan.FromSeconds(20);
        _drain.Accept("a");
        var ignorant = _drain.AcceptIgnorant("b");
        Assert.Equal((0, 0), Observe());

        Assert.True(_drain.Coordinator.AnnounceAsync().IsCompletedSuccessfully);
        Assert.Equal(((int)DrainPhase.Announced, 0), Observe());
        _drain.Coordinator.BeginDraining(CloseReason.Drain);
        Assert.Equal(((int)DrainPhase.Draining, 2), Observe());
        _drain.AdvanceSeconds(20);
        Assert.Equal(((int)DrainPhase.Aborting, 1), Observe());
        Assert.Equal(0, _drain.Meters.SumOf(GracefulTelemetry.DrainAborted));
        _drain.AdvanceSeconds(0.5);

        Assert.Equal(((int)DrainPhase.Drained, 0), Observe());
        Assert.Equal(2, _drain.Meters.SumOf(GracefulTelemetry.DrainAborted));
        Assert.NotNull(ignorant);
    }

    [Fact]
    public async Task Instruments_DrainOfAPart_CountWhatItWaitsForAndLeaveThePhase()
    {
        var one = _drain.Accept("a");
        _drain.Accept("b");

        var part = _drain.Coordinator.DrainAsync(info => info.ConnectionId == "a");

        Assert.Equal(((int)DrainPhase.Serving, 1), Observe());
        one.End();
        await part.WithinLimit();
        Assert.Equal(((int)DrainPhase.Serving, 0), Observe());
    }

    [Fact]
    public async Task Activity_StopOfTheHost_IsARootWithAnEventForEachPhase()
    {
        Listen();
        using var current = new Activity("of somebody else").Start();
        _drain.Accept().End();

        await _drain.StopHost().WithinLimit();

        var activity = Assert.Single(_activities);
        Assert.Equal((GracefulTelemetry.DrainActivity, null, true), (activity.OperationName, activity.ParentId, activity.IsStopped));
        Assert.Equal(["announced", "draining", "drained"], activity.Events.Select(phase => phase.Name));
        Assert.Equal(ActivityStatusCode.Unset, activity.Status);
        Assert.Same(current, Activity.Current);
    }

    [Fact]
    public async Task Activity_ConnectionIsAborted_EndsAsAnError()
    {
        Listen();
        _drain.Accept();
        var stop = _drain.StopHost();

        _drain.Advance(_drain.Options.DrainTimeout);
        await stop.WithinLimit();

        var activity = Assert.Single(_activities);
        Assert.Equal(["announced", "draining", "aborting", "drained"], activity.Events.Select(phase => phase.Name));
        Assert.Equal(ActivityStatusCode.Error, activity.Status);
        Assert.Equal((1, 1, 0L), (
            activity.GetTagItem("graceful.drain.connections"),
            activity.GetTagItem(GracefulTelemetry.DrainAborted),
            activity.GetTagItem(GracefulTelemetry.UnacknowledgedBytes)));
    }

    [Fact]
    public async Task Activity_NobodyListens_IsNotMade()
    {
        using var current = new Activity("of somebody else").Start();

        await _drain.StopHost().WithinLimit();

        Assert.Same(current, Activity.Current);
        Assert.Empty(_activities);
    }

    [Fact]
    public async Task Activity_ListenerThrows_CostsTheDrainNothingAndIsToldOnce()
    {
        Listen(() => throw new InvalidTimeZoneException());
        _drain.Accept().End();

        await _drain.StopHost().WithinLimit();

        Assert.Equal(DrainPhase.Drained, _drain.Phase);
        Assert.Single(_drain.Logger.Entries, entry => entry.Level == LogLevel.Warning && entry.Exception is InvalidTimeZoneException);
    }

    [Fact]
    public void Tag_EveryPhase_HasADistinctOne() => Assert.Distinct(Enum.GetValues<DrainPhase>().Select(DrainTelemetry.Tag));

    [Fact]
    public void Tag_NoPhase_Throws() => Assert.Throws<UnreachableException>(() => DrainTelemetry.Tag((DrainPhase)99));

    // The shared meter outlives every host, and would ask one that has ended.
    [Fact]
    public void Meter_NoFactory_HasNoInstruments()
    {
        var isAsked = false;
        new DrainTelemetry(null, NullLogger.Instance).Observe(
            () => DrainPhase.Serving,
            () =>
            {
                isAsked = true;
                return 0;
            });
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter is { Name: GracefulTelemetry.MeterName, Scope: null })
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.Start();

        listener.RecordObservableInstruments();

        Assert.False(isAsked);
    }

    private void Listen(Action? started = null)
    {
        _listener = new ActivityListener
        {
            ShouldListenTo = static source => source.Name == GracefulTelemetry.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) =>
                _isMine.Value ? ActivitySamplingResult.AllData : ActivitySamplingResult.None,
            ActivityStarted = activity =>
            {
                if (_isMine.Value)
                {
                    _activities.Add(activity);
                    started?.Invoke();
                }
            },
        };
        ActivitySource.AddActivityListener(_listener);
    }

    private (int Phase, int Left) Observe()
    {
        _drain.Meters.Observe();
        return ((int)_drain.Meters.Of(GracefulTelemetry.DrainPhase).Last().Value, (int)_drain.Meters.Of(GracefulTelemetry.DrainLeft).Last().Value);
    }
}
