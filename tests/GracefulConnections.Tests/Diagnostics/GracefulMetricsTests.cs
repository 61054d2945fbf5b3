using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Tests.Diagnostics;

public class GracefulMetricsTests
{
    // Names of series on somebody's dashboards: a change here breaks them.
    [Theory]
    [InlineData(CloseOutcome.Graceful, "graceful")]
    [InlineData(CloseOutcome.Acknowledged, "acknowledged")]
    [InlineData(CloseOutcome.LeftToServer, "left_to_server")]
    [InlineData(CloseOutcome.FlushTimedOut, "flush_timed_out")]
    [InlineData(CloseOutcome.LingerTimedOut, "linger_timed_out")]
    [InlineData(CloseOutcome.LingerLimitExceeded, "linger_limit_exceeded")]
    [InlineData(CloseOutcome.LingerEvicted, "linger_evicted")]
    [InlineData(CloseOutcome.CloseTimedOut, "close_timed_out")]
    [InlineData(CloseOutcome.PeerReset, "peer_reset")]
    [InlineData(CloseOutcome.Aborted, "aborted")]
    public void Tag_Outcome_IsWrittenOut(CloseOutcome outcome, string expected) => Assert.Equal(expected, GracefulMetrics.Tag(outcome));

    [Theory]
    [InlineData(CloseReason.HandlerCompleted, "handler_completed")]
    [InlineData(CloseReason.HandlerFaulted, "handler_faulted")]
    [InlineData(CloseReason.PeerReset, "peer_reset")]
    [InlineData(CloseReason.HostStopping, "host_stopping")]
    [InlineData(CloseReason.Drain, "drain")]
    [InlineData(CloseReason.IdleTimeout, "idle_timeout")]
    [InlineData(CloseReason.MaxConnectionAge, "max_connection_age")]
    [InlineData(CloseReason.Application, "application")]
    [InlineData(CloseReason.Handover, "handover")]
    public void Tag_Reason_IsWrittenOut(CloseReason reason, string expected) => Assert.Equal(expected, GracefulMetrics.Tag(reason));

    [Fact]
    public void Tag_EveryMember_HasADistinctOne()
    {
        Assert.Distinct(Enum.GetValues<CloseOutcome>().Select(GracefulMetrics.Tag));
        Assert.Distinct(Enum.GetValues<CloseReason>().Select(GracefulMetrics.Tag));
    }

    [Fact]
    public void Tag_NoMember_Throws()
    {
        Assert.Throws<UnreachableException>(() => GracefulMetrics.Tag((CloseOutcome)99));
        Assert.Throws<UnreachableException>(() => GracefulMetrics.Tag((CloseReason)99));
    }

    [Fact]
    public void Meter_Created_HasTheDocumentedInstruments()
    {
        var meters = new RecordingMeters();

        _ = new GracefulMetrics(meters);

        Assert.Equal(
            [
                (typeof(UpDownCounter<long>), "graceful.connections.active", "{connection}"),
                (typeof(UpDownCounter<long>), "graceful.connections.closing", "{connection}"),
                (typeof(Histogram<double>), "graceful.close.duration", "s"),
                (typeof(Counter<long>), "graceful.close.discarded", "By"),
                (typeof(Counter<long>), "graceful.close.unacknowledged", "By"),
            ],
            meters.Instruments.Select(instrument => (instrument.GetType(), instrument.Name, instrument.Unit!)));
        Assert.All(meters.Instruments, instrument => Assert.Equal("GracefulConnections", instrument.Meter.Name));
        Assert.All(meters.Instruments, instrument => Assert.False(string.IsNullOrEmpty(instrument.Description)));
    }

    [Fact]
    public async Task Close_Graceful_MeasuresEveryStep()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();
        Assert.Equal((1, 0), Counts(endpoint));

        connection.Return();
        Assert.Equal((1, 1), Counts(endpoint));
        connection.Peer.Send("discarded");
        endpoint.Time.Advance(TimeSpan.FromSeconds(1.5));
        Assert.Empty(endpoint.Meters.Of("graceful.close.duration"));
        connection.Peer.HalfClose();
        await connection.EndAsync();

        Assert.Equal((0, 0), Counts(endpoint));
        Assert.Equal(
            [new RecordingMeters.Measured("graceful.close.duration", 1.5, "graceful.close.outcome=graceful graceful.close.reason=handler_completed")],
            endpoint.Meters.Of("graceful.close.duration"));
        Assert.Equal([new RecordingMeters.Measured("graceful.close.discarded", 9, "")], endpoint.Meters.Of("graceful.close.discarded"));
        Assert.Empty(endpoint.Meters.Of("graceful.close.unacknowledged"));
    }

    [Fact]
    public async Task Close_EndedBeforeTheHandlerDid_IsNeverCountedAsClosing()
    {
        var endpoint = new TestEndpoint();
        var connection = endpoint.Serve();

        connection.Output.Complete(new InvalidTimeZoneException());
        await endpoint.Time.UntilAsync(() => connection.State == CloseState.Aborted);
        Assert.Equal((0, 0), Counts(endpoint));
        connection.Return();
        await connection.EndAsync();

        Assert.Equal((0, 0), Counts(endpoint));
        Assert.Empty(endpoint.Meters.Of("graceful.connections.closing"));
        Assert.Equal(
            [new RecordingMeters.Measured("graceful.close.duration", 0, "error.type=aborted graceful.close.outcome=aborted graceful.close.reason=handler_faulted")],
            endpoint.Meters.Of("graceful.close.duration"));
        Assert.Empty(endpoint.Meters.Of("graceful.close.discarded"));
    }

    [Fact]
    public void Closed_BytesUnacknowledged_AreCountedByOutcome()
    {
        var meters = new RecordingMeters();
        var result = new CloseResult { Reason = CloseReason.Drain, Outcome = CloseOutcome.FlushTimedOut, UnacknowledgedBytes = 123 };

        new GracefulMetrics(meters).Closed(new InMemoryConnection(), result, isCounted: true, wasClosing: true);

        Assert.Equal([new RecordingMeters.Measured("graceful.close.unacknowledged", 123, "graceful.close.outcome=flush_timed_out")], meters.Of("graceful.close.unacknowledged"));
        Assert.Equal(-1, meters.SumOf("graceful.connections.closing"));
    }

    [Theory]
    [InlineData(0L)]
    [InlineData(null)]
    public void Closed_NothingUnacknowledgedOrNotKnown_IsNotCounted(long? unacknowledgedBytes)
    {
        var meters = new RecordingMeters();
        var result = new CloseResult { Reason = CloseReason.Drain, Outcome = CloseOutcome.Graceful, UnacknowledgedBytes = unacknowledgedBytes };

        new GracefulMetrics(meters).Closed(new InMemoryConnection(), result, isCounted: true, wasClosing: false);

        Assert.Empty(meters.Of("graceful.close.unacknowledged"));
    }

    [Theory]
    [InlineData(CloseOutcome.Graceful, false)]
    [InlineData(CloseOutcome.Acknowledged, false)]
    [InlineData(CloseOutcome.LeftToServer, false)]
    [InlineData(CloseOutcome.FlushTimedOut, true)]
    [InlineData(CloseOutcome.LingerTimedOut, false)] // Everything was delivered.
    [InlineData(CloseOutcome.LingerLimitExceeded, true)]
    [InlineData(CloseOutcome.LingerEvicted, false)]
    [InlineData(CloseOutcome.CloseTimedOut, true)]
    [InlineData(CloseOutcome.PeerReset, true)]
    [InlineData(CloseOutcome.Aborted, true)]
    public void Closed_OutcomeIsAnError_HasTheErrorsType(CloseOutcome outcome, bool isError)
    {
        var meters = new RecordingMeters();

        new GracefulMetrics(meters).Closed(new InMemoryConnection(), new CloseResult { Outcome = outcome }, isCounted: true, wasClosing: true);

        var tags = Assert.Single(meters.Of("graceful.close.duration")).Tags;
        Assert.Equal(isError, tags.Contains($"error.type={GracefulMetrics.Tag(outcome)} ", StringComparison.Ordinal));
        Assert.Equal(isError, tags.Contains("error.type", StringComparison.Ordinal));
    }

    // A tool that attaches to a process that runs for long must not show fewer connections than none.
    [Fact]
    public void Closed_OpenedBeforeAnybodyListened_IsNotSubtracted()
    {
        using var unheard = new Meter("GracefulConnections");
        var sut = new GracefulMetrics(new SameMeter(unheard));
        var connection = new InMemoryConnection();
        var isCounted = sut.Opened(connection);
        var measured = new List<(string Name, long Value)>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter == unheard)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => measured.Add((instrument.Name, value)));
        listener.Start();

        sut.Closed(connection, default, isCounted, wasClosing: true);

        Assert.False(isCounted);
        Assert.Empty(measured);
        Assert.True(sut.Opened(connection));
    }

    [Fact]
    public void Meter_NoFactory_IsOneForAll()
    {
        var published = new ConcurrentQueue<Meter>(); // Tests that run beside this one publish theirs, too.
        using var listener = new MeterListener { InstrumentPublished = (instrument, _) => published.Enqueue(instrument.Meter) };
        listener.Start();

        _ = new GracefulMetrics(null);
        _ = new GracefulMetrics(null);

        Assert.Single(published.Where(meter => meter is { Name: "GracefulConnections", Scope: null }).Distinct());
    }

    [Theory]
    [InlineData(false, "graceful")]
    [InlineData(true, "aborted")]
    public async Task Close_ServerHasMetricsTags_GetsTheOutcome(bool faulted, string expected)
    {
        var tags = new FakeMetricsTags();
        var peer = new InMemoryConnection();
        peer.Features.Set<IConnectionMetricsTagsFeature>(tags);
        var endpoint = new TestEndpoint(options => options.AbortOnHandlerFault = true);
        var connection = endpoint.Serve(peer);
        peer.HalfClose();

        if (faulted)
        {
            connection.Throw(new InvalidTimeZoneException());
            await Assert.ThrowsAsync<InvalidTimeZoneException>(() => endpoint.Time.UntilAsync(connection.Running));
        }
        else
        {
            connection.Return();
            await connection.EndAsync();
        }

        Assert.Equal([new KeyValuePair<string, object?>("graceful.close.outcome", expected)], tags.Tags);
    }

    private static (double Active, double Closing) Counts(TestEndpoint endpoint) =>
        (endpoint.Meters.SumOf("graceful.connections.active"), endpoint.Meters.SumOf("graceful.connections.closing"));

    private sealed class SameMeter(Meter meter) : IMeterFactory
    {
        public Meter Create(MeterOptions options) => meter;

        public void Dispose()
        {
        }
    }
}
