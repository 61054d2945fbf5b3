using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Tests.Draining;

/// <summary>Two threads that stop one host, such as a program and the test that started it.</summary>
public class ConcurrentStopTests
{
    [Fact]
    public async Task Stopped_TwoStopsAtOnce_NeitherTimeoutAbortsAnyLonger()
    {
        var drain = new TestDrain();
        using var first = new CancellationTokenSource();
        using var second = new CancellationTokenSource();
        using var sut = new DrainHostedService(drain.Coordinator, new ServiceCollection().BuildServiceProvider());

        await Task.WhenAll(sut.StoppingAsync(first.Token), sut.StoppingAsync(second.Token)).WithinLimit();
        await sut.StoppedAsync(TestContext.Current.CancellationToken).WithinLimit();
        await first.CancelAsync();
        await second.CancelAsync();

        Assert.False(drain.Coordinator.Context.IsAbortingAll_NeedsLock);
    }
}
