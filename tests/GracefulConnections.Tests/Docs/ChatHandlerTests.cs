using GracefulConnections.Testing;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace GracefulConnections.Tests.Docs;

public class ChatHandlerTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task Line_OneIsSlow_ReachesTheOtherAndWaitsForTheSlowOne()
    {
        await using var server = await InMemoryServer.StartAsync<ChatHandler>(_time);
        var (ann, bob) = (server.Connect().Peer, server.Connect().Peer);
        Assert.Equal("welcome\n", await bob.ReceiveUntilAsync("\n"));
        Assert.Equal("welcome\n", await ann.ReceiveUntilAsync("\n"));
        bob.CloseWindow();

        ann.Send("hello\n");
        Assert.Equal("> hello\n", await ann.ReceiveUntilAsync("\n"));
        Assert.Equal("", bob.Receive());

        bob.OpenWindow();
        Assert.Equal("> hello\n", await bob.ReceiveUntilAsync("\n"));
    }

    [Fact]
    public async Task Stop_MemberStillTypes_GetsTheGoodbyeAndLosesNothing()
    {
        await using var server = await InMemoryServer.StartAsync<ChatHandler>(_time);
        var connection = server.Connect();
        await connection.Peer.ReceiveUntilAsync("welcome\n");

        var stop = server.StopAsync();
        Assert.Equal("bye\n", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.Send("too late\n");
        connection.Peer.HalfClose();
        await stop;
        var close = await connection.Closed;
        Assert.Equal((CloseOutcome.Graceful, 9L), (close.Outcome, close.DiscardedBytes));
    }
}
