using System.Collections.Concurrent;
using CsCheck;
using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>The invariants of a close where every acknowledgement and every timer is a step of its own. A failure prints the sequence and its seed, as in <see cref="MemoryStressTests"/>.</summary>
public class CloserStressTests
{
    [Fact]
    public async Task Closer_AnySequence_KeepsTheInvariantsAndMeetsEveryOutcome()
    {
        var met = new ConcurrentDictionary<CloseOutcome, bool>();

        await CloserScript.All.SampleAsync(async script => met[await CloserModel.RunAsync(script)] = true, iter: StressRun.Count(40_000));

        // Whose end is left to the server has an output of another kind.
        Assert.Equal(
            Enum.GetValues<CloseOutcome>().Except([CloseOutcome.None, CloseOutcome.LeftToServer]), met.Keys.Order());
    }
}
