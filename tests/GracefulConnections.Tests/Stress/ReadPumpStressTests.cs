using CsCheck;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>Real threads around one reader, delayed before every exchange: no byte is lost or comes twice, and nobody waits for ever.</summary>
[Collection(DelayedThreads.Name)]
public class ReadPumpStressTests
{
    [Fact]
    public async Task Pump_ThreadsInAnyOrder_KeepsTheInvariants()
    {
        Interleaving.Set(static () => Thread.SpinWait(Random.Shared.Next(16) == 0 ? 2000 : 0));
        try
        {
            await Gen.Int.SampleAsync(static seed => new InputRace(seed).RunAsync(), iter: StressRun.Count(5_000));
        }
        finally
        {
            Interleaving.Set(null);
        }
    }
}
