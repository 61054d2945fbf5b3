using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Pipeline;

/// <summary>With message scopes the library knows where a message ends, and needs no silence.</summary>
public class MessageScopeTests
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    private readonly TestEndpoint _endpoint = new();
    private readonly ServedConnection _connection;

    public MessageScopeTests() => _connection = _endpoint.Serve();

    // Not whether the read has completed: that comes from the thread pool, and may come later.
    private bool IsRefused => ((ReadPump)_connection.Input).IsRefused;

    [Fact]
    public async Task BeginMessage_NoScopeOpen_ReadIsCancelledWithoutSilence()
    {
        _connection.Feature.BeginMessage().Dispose();
        var read = _connection.Input.ReadAsync().AsTask();

        _connection.Feature.RequestClose();
        _endpoint.Time.Advance(Look); // A second look, as no kernel tells here when it received something.

        await AssertCancelledAsync(read);
    }

    [Fact]
    public async Task BeginMessage_ScopeOpen_ReadGoesOnAndIsCancelledAfterItsEnd()
    {
        var scope = _connection.Feature.BeginMessage();
        var read = _connection.Input.ReadAsync().AsTask();
        _connection.Feature.RequestClose();

        Wait();
        Assert.False(IsRefused);
        scope.Dispose();
        _endpoint.Time.Advance(Look);

        await AssertCancelledAsync(read);
    }

    [Fact]
    public async Task BeginMessage_Nested_LastEndCounts()
    {
        var outer = _connection.Feature.BeginMessage();
        var inner = _connection.Feature.BeginMessage();
        var read = _connection.Input.ReadAsync().AsTask();
        _connection.Feature.RequestClose();

        outer.Dispose();
        Wait();
        Assert.False(IsRefused);
        inner.Dispose();
        _endpoint.Time.Advance(Look);

        await AssertCancelledAsync(read);
    }

    [Fact]
    public async Task Dispose_OneScopeTwice_CountsOnce()
    {
        var first = _connection.Feature.BeginMessage();
        var second = _connection.Feature.BeginMessage();
        var copy = first;
        first.Dispose();
        first.Dispose();
        copy.Dispose();
        default(MessageScope).Dispose();
        var read = _connection.Input.ReadAsync().AsTask();

        _connection.Feature.RequestClose();
        Wait();

        Assert.False(IsRefused); // The second one is still open.
        second.Dispose();
        _endpoint.Time.Advance(Look);
        await AssertCancelledAsync(read);
    }

    [Fact]
    public async Task Dispose_AfterTheConnectionEnded_DoesNothing()
    {
        var scope = _connection.Feature.BeginMessage();
        _connection.Peer.HalfClose();
        _connection.Return();
        await _connection.EndAsync();

        scope.Dispose();
        scope.Dispose();

        Assert.Equal(CloseState.Closed, _connection.State);
    }

    [Fact]
    public async Task BeginMessage_HandlerReturnsWithAScopeOpen_EndsByFin()
    {
        _connection.Feature.BeginMessage();
        _connection.Peer.HalfClose();

        _connection.Return();

        Assert.Equal(CloseOutcome.Graceful, (await _connection.EndAsync()).Outcome); // It returned: it says that it is done.
    }

    [Fact]
    public void Equals_SameScopeOnly_IsTrue()
    {
        var first = _connection.Feature.BeginMessage();
        var copy = first;
        var second = _connection.Feature.BeginMessage();

        Assert.True(first == copy && first.Equals((object)copy) && first.GetHashCode() == copy.GetHashCode());
        Assert.True(first != second && !first.Equals(second) && !first.Equals(new object()));
        Assert.True(default(MessageScope) == default && default(MessageScope).GetHashCode() == 0);
    }

    private static async Task AssertCancelledAsync(Task read) =>
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.WithinLimit());

    // Longer than every silence that ends a message.
    private void Wait()
    {
        for (var look = 0; look < 40; look++)
        {
            _endpoint.Time.Advance(TimeSpan.FromMilliseconds(250));
        }
    }
}
