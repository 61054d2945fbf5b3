using GracefulConnections.Tests.Stress.Support;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Closing;

public class LifetimeLimitsTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_NoByteEitherWay_RequestsTheCloseAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();

        endpoint.Time.Advance(TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_ByteReceivedAndRead_StartsAgain(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        endpoint.Time.Advance(TimeSpan.FromSeconds(5));
        connection.Peer.Send("x");
        Assert.True(connection.Input.TryRead(out var result));
        connection.Input.AdvanceTo(result.Buffer.End);
        endpoint.Time.Advance(TimeSpan.FromSeconds(1)); // Where it is noticed: it is looked at every tenth of the time.

        endpoint.Time.Advance(TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_ByteSent_StartsAgain(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        endpoint.Time.Advance(TimeSpan.FromSeconds(5));
        await connection.Output.WriteAsync("x"u8.ToArray());
        endpoint.Time.Advance(TimeSpan.FromSeconds(1));

        endpoint.Time.Advance(TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Fact]
    public async Task IdleTimeout_ByteArrivedAndNotRead_DoesNotCount()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        endpoint.Time.Advance(TimeSpan.FromSeconds(5));
        connection.Peer.Send("x");

        endpoint.Time.Advance(TimeSpan.FromSeconds(5));

        await AssertRequestedAsync(endpoint, connection, requested: true, CloseReason.IdleTimeout);
    }

    [Fact]
    public async Task IdleTimeout_HandlerWaitsForInput_EndsItsRead()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync();

        endpoint.Time.Advance(TimeSpan.FromSeconds(10));

        Assert.True((await read.WithinLimit()).IsCompleted);
        await AssertRequestedAsync(endpoint, connection, requested: true, CloseReason.IdleTimeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task MaxConnectionAge_NoJitter_RequestsTheCloseAtTheEdge(bool atEdge)
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.MaxConnectionAge = TimeSpan.FromHours(3);
            options.MaxConnectionAgeJitter = 0;
        });
        var connection = endpoint.Serve();

        endpoint.Time.Advance(TimeSpan.FromHours(3) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.MaxConnectionAge);
    }

    [Fact]
    public async Task MaxConnectionAge_Jitter_SpreadsOverItsRangeAndNotBeyond()
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.MaxConnectionAge = TimeSpan.FromSeconds(100);
            options.MaxConnectionAgeJitter = 0.5;
        });
        const int Count = 400;
        for (var i = 0; i < Count; i++)
        {
            endpoint.Serve();
        }

        endpoint.Time.Advance(TimeSpan.FromSeconds(50) - Tick);
        Assert.Equal(Count, endpoint.Scope.OpenSweeper.Count);

        // Each tenth of the range has some: that one of them has none happens once in 10^17 times. A connection that was asked arms a timer from a thread of the pool, and a fake clock that
        // is moved at that moment leaves it to that thread to look what is due.
        for (var (tenth, left) = (0, Count); tenth < 10; tenth++)
        {
            endpoint.Time.Advance(TimeSpan.FromSeconds(10));
            await StressRun.UntilAsync(() => endpoint.Scope.OpenSweeper.Count < left, $"a connection that grew old in tenth {tenth}");
            left = endpoint.Scope.OpenSweeper.Count;
        }

        endpoint.Time.Advance(TimeSpan.FromMilliseconds(1));
        await StressRun.UntilAsync(() => endpoint.Scope.OpenSweeper.Count == 0, "the oldest connection");
    }

    [Fact]
    public void MaxConnectionAge_GreatestPossible_IsNeverReached()
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.MaxConnectionAge = TimeSpan.MaxValue;
            options.MaxConnectionAgeJitter = 0.99;
        });

        for (var i = 0; i < 100; i++)
        {
            var connection = endpoint.Serve();
            Assert.False(connection.Running.IsCompleted);
        }

        endpoint.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(100, endpoint.Scope.OpenSweeper.Count);
    }

    [Fact]
    public async Task Limits_CloseRequestedBefore_LeaveTheFirstReason()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        connection.Feature.RequestClose(CloseReason.Drain);

        endpoint.Time.Advance(TimeSpan.FromSeconds(10));

        await AssertRequestedAsync(endpoint, connection, requested: true, CloseReason.Drain);
    }

    [Fact]
    public async Task Limits_HandlerReturned_AreWatchedNoMore()
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.IdleTimeout = TimeSpan.FromSeconds(1);
            options.MaxConnectionAge = TimeSpan.FromSeconds(1);
        });
        var connection = endpoint.Serve();
        Assert.Equal(1, endpoint.Scope.OpenSweeper.Count);

        connection.Return();

        Assert.Equal(0, endpoint.Scope.OpenSweeper.Count);
        endpoint.Time.Advance(TimeSpan.FromSeconds(2));
        connection.Peer.HalfClose();
        Assert.Equal(CloseReason.HandlerCompleted, (await connection.EndAsync()).Reason);
    }

    [Fact]
    public void Limits_NoneSet_AreNotWatched()
    {
        var endpoint = new TestEndpoint();

        endpoint.Serve();

        Assert.Equal(0, endpoint.Scope.OpenSweeper.Count);
    }

    private static async Task AssertRequestedAsync(TestEndpoint endpoint, ServedConnection connection, bool requested, CloseReason reason)
    {
        // The request itself comes from the thread pool, so it is the sweeper that shows whether the time had come.
        Assert.Equal(requested ? 0 : 1, endpoint.Scope.OpenSweeper.Count);
        endpoint.Time.Advance(TimeSpan.FromMilliseconds(1));
        var closeRequested = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registration = connection.Feature.CloseRequested.Register(closeRequested.SetResult);
        await closeRequested.Task.WithinLimit();

        connection.Peer.HalfClose();
        connection.Return();
        Assert.Equal(reason, (await connection.EndAsync()).Reason);
    }
}
