using GracefulConnections;
using GracefulConnections.Testing;
using Microsoft.Extensions.Time.Testing;

namespace GracefulServer.Tests;

public class LineHandlerTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public async Task Line_IsAnswered()
    {
        await using var server = await InMemoryServer.StartAsync<LineHandler>(_time);
        var peer = server.Connect().Peer;

        peer.Send("hello\n");

        Assert.Equal("hello\n", await peer.ReceiveUntilAsync("\n"));
    }

    [Fact]
    public async Task Stop_PeerIsIdle_GetsTheGoodbyeAndAnEnd()
    {
        await using var server = await InMemoryServer.StartAsync<LineHandler>(_time);
        var connection = server.Connect();
        connection.Peer.Send("hello\n");
        await connection.Peer.ReceiveUntilAsync("hello\n");

        var stop = server.StopAsync();

        Assert.Equal("bye\n", await connection.Peer.ReceiveToEndAsync());
        connection.Peer.HalfClose();
        await stop;
        Assert.Equal(CloseOutcome.Graceful, (await connection.Closed).Outcome);
    }
}
