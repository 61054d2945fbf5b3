using System.Collections.Concurrent;
using CsCheck;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Closing;
using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>
/// The close under three threads in every order that chance and delays give. A failure prints the sequence and its
/// seed, as in
/// <see cref="MemoryStressTests"/>; the threads may need several runs of it to meet in the same way again.
/// </summary>
[Collection(DelayedThreads.Name)]
public class CloserRaceTests(ITestOutputHelper output)
{
    private const double LeastCoverage = 0.95;

    // Named by the table, because the machine must hold whatever comes, and yet nobody can raise it there.
    private static readonly (CloseState, CloseEvent)[] Impossible =
    [
        (CloseState.Open, CloseEvent.FinSending), // The output completes first.
        (CloseState.Open, CloseEvent.FinSent),
        (CloseState.Open, CloseEvent.AllSent),
        (CloseState.HalfClosed, CloseEvent.OutputCompleted), // It completes once.
        (CloseState.HalfClosed, CloseEvent.OutputFaulted),
        (CloseState.Open, CloseEvent.ResetDue),
        (CloseState.Lingering, CloseEvent.FinSending), // It was delivered.
        (CloseState.Lingering, CloseEvent.FinSent),
        (CloseState.Lingering, CloseEvent.AllSent),
        (CloseState.Lingering, CloseEvent.GraceGiven), // This clock never jumps, and no kernel is below.
        (CloseState.Lingering, CloseEvent.ResetDue), // An RST follows instead of a FIN, so there is no linger.
    ];

    [Fact]
    public async Task Closer_ThreeThreadsInAnyOrder_EndsOnceAndReachesEveryPair()
    {
        var reached = new ConcurrentDictionary<(CloseState, CloseEvent), bool>();
        var outcomes = new ConcurrentDictionary<CloseOutcome, int>();
        var count = StressRun.Sequences(20_000);
        CloseTrace.Set((state, e) => reached.TryAdd((state, e), true));
        Interleaving.Set(Delay);
        try
        {
            await RaceScript.All.SampleAsync(
                async script => outcomes.AddOrUpdate(await CloserRace.RunAsync(script), 1, static (_, count) => count + 1),
                iter: count);
        }
        finally
        {
            Interleaving.Set(null);
            CloseTrace.Set(null);
        }

        var legal = CloseMachineTests.NamedPairs.Except(Impossible).ToArray();
        var missed = legal.Where(pair => !reached.ContainsKey(pair)).ToArray();
        var coverage = 1 - ((double)missed.Length / legal.Length);
        var report = $"{count} sequences reached {legal.Length - missed.Length} of {legal.Length} legal pairs ({coverage:P1}). "
            + $"Missed: {string.Join(", ", missed)}. Outcomes: {string.Join(", ", outcomes.OrderBy(static pair => pair.Key))}.";
        output.WriteLine(report);
        Assert.True(coverage >= LeastCoverage, report);
    }

    private static void Delay()
    {
        switch (Random.Shared.Next(8))
        {
            case 0:
                Thread.Yield();
                break;
            case 1:
                Thread.SpinWait(Random.Shared.Next(200));
                break;
        }
    }
}
