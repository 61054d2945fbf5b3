using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using GracefulConnections.Listening;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Listening;

[UnsupportedOSPlatform("windows")]
public sealed class HandoverListenerTests : IDisposable
{
    private readonly ListeningSockets _sockets = new(NullLoggerFactory.Instance);
    private readonly FakeTimeProvider _time = new();
    private readonly ListeningSocket _socket = ListeningSocket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
    private readonly Socket _view;
    private readonly FakeListener _inner = new();

    public HandoverListenerTests()
    {
        _view = _socket.Descriptor.View();
        _view.Listen(); // As Kestrel's transport does.
    }

    public void Dispose()
    {
        _view.Dispose();
        _socket.Dispose();
    }

    [Fact]
    public async Task Accept_BeforeTheHostHasStarted_Waits()
    {
        var sut = Create();
        var accepting = sut.AcceptAsync(TestContext.Current.CancellationToken).AsTask();
        Assert.Equal(0, _inner.AcceptCount);

        _sockets.Open(manager: null);
        await accepting.WaitAsync(WaitLimit.Longest, TestContext.Current.CancellationToken);

        Assert.Equal(1, _inner.AcceptCount);
    }

    [Fact]
    public async Task Unbind_BeforeTheHostHasStarted_EndsTheAcceptAndTakesNothing()
    {
        using var peer = Connect();
        var sut = Create();
        var accepting = sut.AcceptAsync(TestContext.Current.CancellationToken).AsTask();

        await sut.UnbindAsync(TestContext.Current.CancellationToken); // No sweep: the predecessor accepts from this queue.

        Assert.Null(await accepting.WaitAsync(WaitLimit.Longest, TestContext.Current.CancellationToken));
        Assert.True(_inner.IsUnbound);
    }

    [Fact]
    public async Task Unbind_ConnectionWaits_IsAcceptedFirst()
    {
        using var peer = Connect();
        var sut = Create();
        _sockets.Open(manager: null);

        var unbinding = sut.UnbindAsync(TestContext.Current.CancellationToken).AsTask();
        Assert.False(unbinding.IsCompleted);
        Assert.False(_inner.IsUnbound);
        using var accepted = _view.Accept();
        await unbinding.WaitAsync(WaitLimit.Longest, TestContext.Current.CancellationToken);

        Assert.True(_inner.IsUnbound);
    }

    [Fact]
    public async Task Unbind_NobodyAccepts_GivesUpAfterALittleWhile()
    {
        using var peer = Connect();
        var sut = Create();
        _sockets.Open(manager: null);

        var unbinding = sut.UnbindAsync(TestContext.Current.CancellationToken).AsTask();
        _time.Advance(TimeSpan.FromMilliseconds(199));
        Assert.False(unbinding.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await unbinding.WaitAsync(WaitLimit.Longest, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task HandOver_ConnectionWaits_IsLeftToTheSuccessor()
    {
        using var successor = Duplicate();
        using var peer = Connect();
        var sut = Create();
        _sockets.Open(manager: null);

        await sut.HandOverAsync();
        await sut.UnbindAsync(TestContext.Current.CancellationToken);

        Assert.Equal(1, _inner.UnbindCount);
        using var view = successor.View();
        using var accepted = view.Accept();
        Assert.Equal(peer.LocalEndPoint, accepted.RemoteEndPoint);
    }

    // A look at all descriptors for each of hundreds of endpoints takes seconds, in which a server should stop.
    [Fact]
    public async Task LeaveEventQueues_OfTheRuntime_AreLookedForOnce()
    {
        using var stop = new CancellationTokenSource();
        var accepting = _view.AcceptAsync(stop.Token).AsTask(); // Now the runtime's queue has it.

        _socket.LeaveEventQueues(ListeningSocket.FindEventQueues());

        Assert.Same(ListeningSocket.FindEventQueues(), ListeningSocket.FindEventQueues());
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => accepting);
    }

    private Descriptor Duplicate() => Descriptor.DuplicateOf(_view);

    private HandoverListener Create() => new(_sockets, _socket, _inner, wasPassed: false, _time);

    private Socket Connect()
    {
        var peer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        peer.Connect(_view.LocalEndPoint!);
        return peer;
    }

    private sealed class FakeListener : IConnectionListener
    {
        public EndPoint EndPoint { get; } = new IPEndPoint(IPAddress.Loopback, 0);

        public int AcceptCount { get; private set; }

        public int UnbindCount { get; private set; }

        public bool IsUnbound => UnbindCount > 0;

        public ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            AcceptCount++;
            return new ValueTask<ConnectionContext?>((ConnectionContext?)null);
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            UnbindCount++;
            return default;
        }

        public ValueTask DisposeAsync() => default;
    }
}
