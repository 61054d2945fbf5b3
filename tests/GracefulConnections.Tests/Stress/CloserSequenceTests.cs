using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>Sequences around the closer that the random ones found.</summary>
public class CloserSequenceTests
{
    [Fact]
    public async Task CloseRequested_WriteBlocksBetweenTwoLooks_StallsNotBeforeItsFullTime()
    {
        var script = new CloserScript(
            LingerUntil.PeerFin,
            null,
            [
                new(CloserAct.RequestClose, 0),
                new(CloserAct.Advance, 100), // A look: nothing is blocked.
                new(CloserAct.Advance, 1),
                new(CloserAct.Write, 2000),
                new(CloserAct.Advance, 2999),
                new(CloserAct.KernelTakes, 2000),
                new(CloserAct.PeerAcknowledges, 2000),
                new(CloserAct.Return, 0),
                new(CloserAct.PeerSendsFin, 0),
                new(CloserAct.PeerAcknowledgesFin, 0),
            ]);

        Assert.Equal(CloseOutcome.Graceful, await CloserModel.RunAsync(script));
    }
}
