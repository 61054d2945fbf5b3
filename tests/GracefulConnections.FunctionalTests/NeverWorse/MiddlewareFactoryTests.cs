using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>What makes a middleware before <c>UseGracefulShutdown()</c> may be called only once.</summary>
public class MiddlewareFactoryTests
{
    [Fact]
    public async Task Factory_ThatRegistersItsPipeline_RunsOnce()
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.Transport.Output.WriteAsync("hello\r\n"u8.ToArray()).AsTask(),
            static play => play.Peer.EndedAsync(),
            new HabitSetup
            {
                Before = static endpoint =>
                {
                    var pipelines = new Dictionary<string, ConnectionDelegate>(StringComparer.Ordinal);
                    endpoint.Use(next =>
                    {
                        pipelines.Add("game", next); // The second time it throws.
                        return connection => pipelines["game"](connection);
                    });
                },
            });

        played.AssertCarriedAlike([], "hello\r\n");
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }
}
