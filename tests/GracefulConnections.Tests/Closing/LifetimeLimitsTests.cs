using GracefulConnections.Closing;
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
        var connection = new LimitedConnection(endpoint);
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
        var connection = new LimitedConnection(endpoint);
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
        var connection = new LimitedConnection(endpoint);
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
        var connection = new LimitedConnection(endpoint);
        if (what == "holds a buffer")
        {
            connection.Peer.Send("x");
            await connection.Input.ReadAsync().WithinLimit();
        }

        Advance(endpoint, TimeSpan.FromMinutes(1));

        Assert.Equal(1, endpoint.Scope.Wheel.Count);
        Assert.False(connection.Requested.IsCompleted);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_HandlerWaitsAgain_CountsFromThere(bool atEdge)
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = new LimitedConnection(endpoint);
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
        var connection = new LimitedConnection(endpoint);
        _ = connection.Input.ReadAsync().AsTask();

        endpoint.Time.Advance(TimeSpan.FromHours(1));
        Assert.Equal(1, endpoint.Scope.Wheel.Count);
        endpoint.Time.Advance(CloseDeadlines.Grace - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Fact]
    public async Task IdleTimeout_ByteComesWithinTheGrace_StartsAgain()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = new LimitedConnection(endpoint);
        var read = connection.Input.ReadAsync();
        endpoint.Time.Advance(TimeSpan.FromHours(1));

        connection.Peer.Send("x");
        connection.Input.AdvanceTo((await read.WithinLimit()).Buffer.End);
        _ = connection.Input.ReadAsync().AsTask();
        Advance(endpoint, TimeSpan.FromSeconds(9));

        Assert.Equal(1, endpoint.Scope.Wheel.Count);
    }

    // What waits in the kernel came from a peer that is not silent. But nothing holds a connection for ever.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task IdleTimeout_SomethingUnreadInTheKernel_GivesOneGrace(bool atEdge)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Asks the kernel for the length of its queue.");
        using var sockets = await SocketPair.ConnectAsync();
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var probe = new SocketQueue(sockets.Own);
        var connection = new LimitedConnection(endpoint, probe);
        _ = connection.Input.ReadAsync().AsTask();
        sockets.Peer.Send("x"u8);
        await TestLimit.UntilAsync(probe.IsBehind);

        Advance(endpoint, TimeSpan.FromSeconds(10));
        Assert.Equal(1, endpoint.Scope.Wheel.Count);
        Advance(endpoint, CloseDeadlines.Grace - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.IdleTimeout);
    }

    [Fact]
    public async Task IdleTimeout_HandlerWaitsForInput_CancelsItsRead()
    {
        var endpoint = new TestEndpoint(options => options.IdleTimeout = TimeSpan.FromSeconds(10));
        var connection = endpoint.Serve();
        var read = connection.Input.ReadAsync().AsTask();

        Advance(endpoint, TimeSpan.FromSeconds(10));

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => endpoint.Time.UntilAsync(read));
        connection.Peer.HalfClose();
        connection.Return();
        Assert.Equal(CloseReason.IdleTimeout, (await connection.EndAsync()).Reason);
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
        var connection = new LimitedConnection(endpoint);

        endpoint.Time.Advance(TimeSpan.FromHours(3) - (atEdge ? TimeSpan.Zero : Tick));

        await AssertRequestedAsync(endpoint, connection, atEdge, CloseReason.MaxConnectionAge);
    }

    [Fact]
    public void MaxConnectionAge_Jitter_SpreadsOverItsRangeAndNotBeyond()
    {
        var endpoint = new TestEndpoint(options =>
        {
            options.MaxConnectionAge = TimeSpan.FromSeconds(100);
            options.MaxConnectionAgeJitter = 0.5;
        });
        const int Count = 400;
        for (var i = 0; i < Count; i++)
        {
            _ = new LimitedConnection(endpoint);
        }

        endpoint.Time.Advance(TimeSpan.FromSeconds(50) - Tick);
        Assert.Equal(Count, endpoint.Scope.Wheel.Count);

        // Each tenth of the range has some: that one of them has none happens once in 10^17 times.
        for (var (tenth, left) = (0, Count); tenth < 10; tenth++)
        {
            endpoint.Time.Advance(TimeSpan.FromSeconds(10));
            Assert.True(endpoint.Scope.Wheel.Count < left, $"nobody grew old in tenth {tenth}");
            left = endpoint.Scope.Wheel.Count;
        }

        endpoint.Time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(0, endpoint.Scope.Wheel.Count);
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
            _ = new LimitedConnection(endpoint);
        }

        endpoint.Time.Advance(TimeSpan.FromDays(1));
        Assert.Equal(100, endpoint.Scope.Wheel.Count);
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

        connection.Peer.HalfClose();
        connection.Return();
        Assert.Equal(CloseReason.Drain, (await connection.EndAsync()).Reason);
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
        Assert.Equal(1, endpoint.Scope.Wheel.Count);

        connection.Peer.HalfClose();
        connection.Return();

        Assert.Equal(CloseReason.HandlerCompleted, (await connection.EndAsync()).Reason);
        Assert.Equal(0, endpoint.Scope.Wheel.Count);
    }

    [Fact]
    public void Limits_NoneSet_AreNotWatched()
    {
        var endpoint = new TestEndpoint();

        endpoint.Serve();

        Assert.Equal(0, endpoint.Scope.Wheel.Count);
    }

    // In steps, as the looks come: one step would be a jump of the clock.
    private static void Advance(TestEndpoint endpoint, TimeSpan time)
    {
        for (var second = TimeSpan.FromSeconds(1); time > TimeSpan.Zero; time -= second)
        {
            endpoint.Time.Advance(time < second ? time : second);
        }
    }

    // The request itself comes from the thread pool, so it is the wheel that shows whether the time had come.
    private static async Task AssertRequestedAsync(
        TestEndpoint endpoint, LimitedConnection connection, bool requested, CloseReason reason)
    {
        Assert.Equal(requested ? 0 : 1, endpoint.Scope.Wheel.Count);
        endpoint.Time.Advance(TimeSpan.FromMilliseconds(1));
        Assert.Equal(reason, await connection.Requested.WithinLimit());
        Assert.Equal(0, endpoint.Scope.Wheel.Count);
    }

    /// <summary>
    /// Two directions that the test is the handler of, and their limits: nothing else is on the wheel.
    /// </summary>
    private sealed class LimitedConnection
    {
        private readonly TaskCompletionSource<CloseReason> _requested =
            new(TaskCreationOptions.RunContinuationsAsynchronously);

        public LimitedConnection(TestEndpoint endpoint, KernelQueue? probe = null)
        {
            var events = new RecordingEvents();
            var input = new ReadPump(Peer.Transport.Input, probe, InputKind.Transport, events);
            Input = input;
            Output = new FakeOutput(events);
            var transport = new ConnectionTransport(input, Output, probe, LeftToServerReason.None, IsInsideTls: false);
            new LifetimeLimits("id", endpoint.Scope, transport, _requested.SetResult, isOver: null).Start();
        }

        public InMemoryConnection Peer { get; } = new();

        public ReadPump Input { get; }

        public FakeOutput Output { get; }

        public Task<CloseReason> Requested => _requested.Task;
    }
}
