using System.Diagnostics.Metrics;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Pipeline;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Closing;

/// <summary>
/// Foreign code that throws at each of its calls, one after the other: the connection ends all the same, and nobody
/// else notices.
/// </summary>
public sealed class ForeignCodeTests
{
    private const int MostCalls = 100;

    private static readonly string[] Scenarios = ["graceful", "silent", "stalled", "requested", "aborted", "reset"];

    public static TheoryData<string, string, bool> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, bool>();
            foreach (var who in new[] { "logger", "meter", "abort", "writer", "reader" })
            {
                foreach (var scenario in Scenarios)
                {
                    cases.Add(who, scenario, false);
                    cases.Add(who, scenario, true);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Throws_AtAnyCall_CostsNobodyElseAnything(string who, string scenario, bool goesOn)
    {
        var calls = 0;
        while (await ThrowAsync(who, scenario, new Thrower(calls, goesOn)))
        {
            calls++;
            Assert.True(calls < MostCalls, "It throws for ever.");
        }

        // Each of them is called in some scenario, and an abort only where one is due.
        Assert.True(calls > 0 || who is "abort" or "reader", $"The {who} was never called.");
    }

    /// <returns>Whether it came to throw.</returns>
    private static async Task<bool> ThrowAsync(string who, string scenario, Thrower thrower)
    {
        SynchronizationContext.SetSynchronizationContext(null);
        var time = new FakeTimeProvider();
        using var meters = new RecordingMeters();
        using var listener = new MeterListener();
        if (who == "meter")
        {
            listener.InstrumentPublished = (instrument, l) =>
            {
                if (instrument.Meter.Scope == meters)
                {
                    l.EnableMeasurementEvents(instrument);
                }
            };
            listener.SetMeasurementEventCallback<long>((_, _, _, _) => thrower.Call());
            listener.SetMeasurementEventCallback<double>((_, _, _, _) => thrower.Call());
            listener.Start();
        }

        var options = new GracefulCloseOptions
        {
            FlushStallTimeout = TimeSpan.FromSeconds(4),
            LingerIdleTimeout = TimeSpan.FromSeconds(2),
            CloseTimeout = TimeSpan.FromSeconds(8),
        };
        var logger = who == "logger" ? new ThrowingLogger(thrower) : (Microsoft.Extensions.Logging.ILogger)new RecordingLogger();
        var scope = new CloseScope(options, time, logger, new GracefulMetrics(meters));
        await using var otherPeer = new InMemoryConnection();
        var otherHandler = new TaskCompletionSource();
        var other = Run(otherPeer, otherHandler.Task);
        await using var peer = InMemory.Narrow();
        var handler = new TaskCompletionSource();
        var connection = new ThrowingConnection(
            peer,
            who == "reader" ? thrower : null,
            who == "writer" ? thrower : null,
            who == "abort" ? thrower : null);
        var running = Run(connection, handler.Task);
        var feature = connection.Features.Get<IGracefulCloseFeature>()!;
        otherHandler.SetResult(); // It lingers beside the one that throws.

        Act(scenario, peer, connection, feature, handler);
        await TestLimit.UntilAsync(() =>
        {
            time.Advance(TimeSpan.FromMilliseconds(250));
            return running.IsCompleted && other.IsCompleted;
        });
        Assert.True(other.IsCompletedSuccessfully);
        _ = running.Exception;
        Assert.NotEqual(CloseOutcome.None, (await feature.Closed.WithinLimit()).Outcome);
        Assert.True(feature.State.IsFinal());
        Assert.Equal(0, scope.Wheel.Count);
        return thrower.HasThrown;

        Task Run(ConnectionContext connection, Task handler) =>
            new GracefulShutdownMiddleware(_ => handler, scope).OnConnectionAsync(connection);
    }

    private static void Act(
        string scenario,
        InMemoryConnection peer,
        ConnectionContext connection,
        IGracefulCloseFeature feature,
        TaskCompletionSource handler)
    {
        try
        {
            Use(connection, peer, scenario);
            switch (scenario)
            {
                case "requested":
                    feature.RequestClose(CloseReason.Drain);
                    break;
                case "aborted":
                    connection.Abort();
                    break;
                case "reset":
                    peer.Reset();
                    break;
            }
        }
        catch (InvalidTimeZoneException)
        {
            // The handler's own call of its transport threw: it is told as on stock.
        }

        handler.TrySetResult();
        if (scenario == "graceful" && !feature.State.IsFinal())
        {
            peer.Send("late");
            peer.HalfClose();
        }
    }

    private static void Use(ConnectionContext connection, InMemoryConnection peer, string scenario)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        peer.Send("hello");
        Assert.True(input.TryRead(out var read));
        input.AdvanceTo(read.Buffer.End);
        var text = scenario == "stalled" ? "more than the peer takes" : "ok";
        System.Text.Encoding.ASCII.GetBytes(text, output.GetSpan(text.Length));
        output.Advance(text.Length);
        _ = output.FlushAsync().AsTask();
        _ = input.ReadAsync().AsTask().ContinueWith(static task => task.Exception, TaskScheduler.Default);
    }
}
