using GracefulConnections.FunctionalTests.Draining;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Two parts of a handler await a flush at the same time, and the handler returns. It costs its own connection at most.
/// The server is a process of its own, because what must not happen is the end of the process.
/// </summary>
public class OverlappingFlushTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task TwoFlushesAtOnce_HandlerReturns_TheProcessGoesOn(bool isStock)
    {
        await using var server = await StopServer.StartAsync("--Stock", $"{isStock}");
        await using (var peer = await SampleProcess.ConnectAsync(
            server.Ports[0], static socket => socket.ReceiveBufferSize = 64 * 1024))
        {
            await peer.SendAsync(StopServer.TwoFlushes);
            await Pace.PauseAsync(TimeSpan.FromSeconds(1)); // Both are under way, and the handler has returned.
            await peer.ReadToEndAsync();
        }

        await using var other = await SampleProcess.ConnectAsync(server.Ports[0]);
        await other.SendAsync(StopServer.Ping);
        await other.ReadExactlyAsync(1);
        server.Terminate();
        Assert.Equal(0, await server.WaitForExitAsync());
    }
}
