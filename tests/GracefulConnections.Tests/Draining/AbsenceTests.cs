using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary>The process does not run for a while, as on a paused machine, and the time of a drain is over meanwhile.</summary>
public class AbsenceTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(1);

    private readonly TestDrain _sut = new();

    [Fact]
    public async Task Drain_TimeIsUpDuringAnAbsence_GivesTheHandlersAMoment()
    {
        var finishing = _sut.Accept("finishing");
        var stuck = _sut.Accept("stuck");
        var draining = _sut.StopHost();
        _sut.Coordinator.Context.OnPresent();

        _sut.Advance(2 * _sut.Options.DrainTimeout);
        finishing.End();
        _sut.Coordinator.Context.OnPresent();
        _sut.Advance(DrainContext.Grace - Tick);
        Assert.Equal((false, false), (finishing.IsAborted, stuck.IsAborted));
        _sut.Advance(Tick);
        Assert.Equal((false, true), (finishing.IsAborted, stuck.IsAborted));

        await draining.WithinLimit();
    }

    [Fact]
    public void Drain_AbsentAgainDuringTheMoment_IsOver()
    {
        var stuck = _sut.Accept();
        _ = _sut.StopHost();
        _sut.Coordinator.Context.OnPresent();
        _sut.Advance(_sut.Options.DrainTimeout);
        Assert.False(stuck.IsAborted);

        _sut.Coordinator.Context.OnPresent();
        _sut.Advance(2 * DrainContext.Grace);

        Assert.True(stuck.IsAborted);
    }
}
