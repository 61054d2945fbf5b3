using GracefulConnections.Closing;
using GracefulConnections.Tests.Stress.Support;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

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
        _ = connection.Input.ReadAsync().AsTask();

        Advance(endpoint, TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_ByteReceivedAndRead_StartsAgain(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync();
        Advance(endpoint, TimeSpan.FromSeconds(5));
        connection.Peer.Send("x");
        connection.Input.AdvanceTo((await read.WithinLimit()).Buffer.End);
        _ = connection.Input.ReadAsync().AsTask();
        endpoint.Time.Advance(TimeSpan.FromSeconds(1)); // Where it is noticed: it is looked at every tenth of the time.

        Advance(endpoint, TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_ByteSent_StartsAgain(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        _ = connection.Input.ReadAsync().AsTask();
        Advance(endpoint, TimeSpan.FromSeconds(5));
        await connection.Output.WriteAsync("x"u8.ToArray());
        endpoint.Time.Advance(TimeSpan.FromSeconds(1));

        Advance(endpoint, TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Theory]
    [InlineData("computes")]
    [InlineData("holds a buffer")]
    public async Task IdleTimeout_HandlerDoesNotWait_IsBusyHoweverLong(string what)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        if (what == "holds a buffer")
        {
            connection.Peer.Send("x");
            await connection.Input.ReadAsync().WithinLimit();
        }

        Advance(endpoint, TimeSpan.FromMinutes(1));

        Assert.Equal(1, endpoint.Scope.OpenSweeper.Count);
        Assert.False(connection.Feature.CloseRequested.IsCancellationRequested);
        connection.Peer.HalfClose();
        connection.Return();
        Assert.Equal(CloseReason.HandlerCompleted, (await connection.EndAsync()).Reason);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_HandlerWaitsAgain_CountsFromThere(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        Advance(endpoint, TimeSpan.FromMinutes(1));
        _ = connection.Input.ReadAsync().AsTask();

        Advance(endpoint, TimeSpan.FromSeconds(10) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    // A process that did not run for a while must not take its own absence for the peer's silence.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_ClockJumps_GivesOneGrace(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        _ = connection.Input.ReadAsync().AsTask();

        endpoint.Time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, endpoint.Scope.OpenSweeper.Count);
        endpoint.Time.Advance(Closer.Grace - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Fact]
    public async Task IdleTimeout_ByteComesWithinTheGrace_StartsAgain()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync();
        endpoint.Time.Advance(TimeSpan.FromHours(1));

        connection.Peer.Send("x");
        connection.Input.AdvanceTo((await read.WithinLimit()).Buffer.End);
        _ = connection.Input.ReadAsync().AsTask();
        Advance(endpoint, TimeSpan.FromSeconds(9));

        Assert.Equal(1, endpoint.Scope.OpenSweeper.Count);
    }

    // What waits in the kernel came from a peer that is not silent. But nothing holds a connection for ever.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_SomethingUnreadInTheKernel_GivesOneGrace(bool atEdge)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Asks the kernel for the length of its queue.");
        using var sockets = await SocketPair.ConnectAsync();
        using var inner = new ScriptedReader();
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var probe = new SocketQueue(sockets.Own);
        var activity = new Activity(endpoint.Time);
        var events = new RecordingEvents();
        var input = new InputReader(inner, probe, InputKind.Transport, events, activity, endpoint.Time);
        _ = input.ReadAsync().AsTask();
        var transport = new ConnectionTransport(input, new FakeOutput(events, activity), probe, LeftToServerReason.None);
        var requested = new TaskCompletionSource<CloseReason>(TaskCreationOptions.RunContinuationsAsynchronously);
        new LifetimeLimits(endpoint.Scope, transport, requested.SetResult, isOver: null).Start();
        sockets.Peer.Send("x"u8);
        await TestLimit.UntilAsync(probe.IsBehind);

        Advance(endpoint, TimeSpan.FromSeconds(10));
        Assert.Equal(1, endpoint.Scope.OpenSweeper.Count);
        Advance(endpoint, Closer.Grace - (atEdge ? TimeSpan.Zero : Tick));

        Assert.Equal(atEdge ? 0 : 1, endpoint.Scope.OpenSweeper.Count);
        endpoint.Time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(CloseReason.IdleTimeout, await requested.Task.WithinLimit());
    }

    [Fact]
    public async Task IdleTimeout_HandlerWaitsForInput_CancelsItsRead()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync().AsTask();

        Advance(endpoint, TimeSpan.FromSeconds(10));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => endpoint.Time.UntilAsync(read));
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
        var endpoint = new TestEndpoint(options =>
        {
            options.MaxConnectionAge = TimeSpan.FromSeconds(10);
            options.MaxConnectionAgeJitter = 0;
        });
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

    // In steps, as the looks come: one step would be a jump of the clock.
    private static void Advance(TestEndpoint endpoint, TimeSpan time)
    {
        for (var second = TimeSpan.FromSeconds(1); time > TimeSpan.Zero; time -= second)
        {
            endpoint.Time.Advance(time < second ? time : second);
        }
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
