using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Draining;

/// <summary>The steps of the application between the announcement and the first close request.</summary>
public class DrainStepsTests
{
    private readonly List<DrainStep> _steps = [];
    private readonly TestDrain _sut;

    public DrainStepsTests() => _sut = new TestDrain(steps: new DrainSteps(_steps, new FakeServices()));

    [Fact]
    public async Task Steps_HostStops_RunInOrderBeforeTheFirstIsAsked()
    {
        var connection = _sut.Accept();
        List<string> ran = [];
        foreach (var name in new[] { "a", "b" })
        {
            Add(name, _ =>
            {
                ran.Add($"{name} {_sut.Phase} {_sut.Coordinator.DrainStarted.IsCancellationRequested} {connection.IsAsked}");
                return Task.CompletedTask;
            });
        }

        await _sut.StopHostAsync();

        Assert.Equal(["a Draining True False", "b Draining True False"], ran);
        Assert.True(connection.IsAsked);
    }

    [Fact]
    public async Task Steps_LiveDrainAndHostStop_RunOnce()
    {
        var ran = 0;
        Add("a", _ => Task.FromResult(Interlocked.Increment(ref ran)));

        await _sut.Coordinator.DrainAsync().WithinLimit();
        await _sut.StopHostAsync();

        Assert.Equal(1, ran);
    }

    [Fact]
    public async Task Steps_OneThrows_IsNamedAndTheNextFollows()
    {
        var ran = false;
        Add("broken", _ => throw new InvalidTimeZoneException());
        Add("next", _ => Task.FromResult(ran = true));

        await _sut.StopHostAsync();

        Assert.True(ran);
        var entry = Assert.Single(_sut.Logger.Entries, entry => entry.Id.Name == "DrainStepFailed");
        Assert.Equal((LogLevel.Warning, """The drain step "broken" failed. The drain goes on."""), (entry.Level, entry.Message));
        Assert.IsType<InvalidTimeZoneException>(entry.Exception!.InnerException);
    }

    [Fact]
    public async Task Steps_OneIsLate_ItsTokenIsCancelledTheRestIsSkippedAndTheDrainGoesOn()
    {
        var connection = _sut.Accept();
        var token = new TaskCompletionSource<CancellationToken>(TaskCreationOptions.RunContinuationsAsynchronously);
        Add("late", cancellation =>
        {
            token.SetResult(cancellation);
            return new TaskCompletionSource().Task;
        });
        Add("never", _ => throw new InvalidTimeZoneException());
        var stopping = _sut.StopHostAsync();
        var given = await token.Task.WithinLimit();

        _sut.AdvanceSeconds(9.999);
        Assert.False(given.IsCancellationRequested || connection.IsAsked);
        _sut.AdvanceSeconds(0.001); // Half of the drain's 20 s.

        await stopping.WithinLimit();
        Assert.True(given.IsCancellationRequested && connection.IsAsked);
        Assert.Equal(["DrainStepLate", "DrainStepSkipped"], _sut.Logger.Events.Where(name => name!.StartsWith("DrainStep", StringComparison.Ordinal)));
        _sut.AdvanceSeconds(9.999);
        Assert.False(connection.IsAborted);
        _sut.AdvanceSeconds(0.001); // The deadline counts from the beginning of the steps.
        Assert.True(connection.IsAborted);
    }

    [Fact]
    public async Task Steps_AbortNow_AreNotWaitedFor()
    {
        var connection = _sut.Accept();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Add("stuck", _ =>
        {
            begun.SetResult();
            return new TaskCompletionSource().Task;
        });
        var stopping = _sut.StopHostAsync();
        await begun.Task.WithinLimit();

        _sut.Coordinator.AbortNow();

        Assert.True(connection.IsAborted);
        await stopping.WithinLimit();
    }

    [Fact]
    public async Task Steps_ConnectionThatComesMeanwhile_IsAskedWithTheOthers()
    {
        var gate = new TaskCompletionSource();
        Add("gate", _ => gate.Task);
        var stopping = _sut.StopHostAsync();
        await TestLimit.UntilAsync(() => _sut.Phase == DrainPhase.Draining);

        var late = _sut.Accept("late");
        Assert.False(late.IsAsked);
        gate.SetResult();

        await stopping.WithinLimit();
        Assert.Equal(1, late.AskCount);
    }

    [Fact]
    public async Task Callbacks_OneNeverReturns_AreSaidAndNotWaitedForBeyondASecond()
    {
        var connection = _sut.Accept();
        using var never = new ManualResetEventSlim();
        using var registration = _sut.Coordinator.DrainAnnounced.Register(() => never.Wait(TimeSpan.FromSeconds(60)));
        var stopping = _sut.StopHostAsync();

        _sut.AdvanceSeconds(0.999);
        Assert.False(connection.IsAsked);
        _sut.AdvanceSeconds(0.001);

        await stopping.WithinLimit();
        Assert.True(connection.IsAsked);
        Assert.Equal(
            "The callbacks of DrainAnnounced have not returned within 1 s. The drain goes on without them. AddDrainStep() gives work more time.",
            Assert.Single(_sut.Logger.Entries, entry => entry.Id.Name == "DrainCallbackLate").Message);
        never.Set();
    }

    private void Add(string name, Func<CancellationToken, Task> run) =>
        _steps.Add(new DrainStep(name, (_, cancellation) => run(cancellation)));
}
