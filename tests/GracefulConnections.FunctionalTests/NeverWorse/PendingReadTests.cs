using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.FunctionalTests.Tls;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Handlers that return while a read of theirs is pending: nobody is there to look at its exception.</summary>
[Collection(SerialTests.Name)]
public class PendingReadTests
{
    private const string Line = "bye\n";

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task WhenAny_ReadIsPendingAtTheReturn_NothingIsUnobserved(bool isStock)
    {
        const int count = 20;
        using var unobserved = new UnobservedFaults();
        using var log = new CapturedLog();
        await using (var server = await Habit.StartAsync(
            new HabitPlay(isStock), static (connection, _) => EitherAsync(connection), new HabitSetup(), log))
        {
            for (var i = 0; i < count; i++)
            {
                await using var peer = await HabitPeer.ConnectAsync(server.EndPoint);
                peer.StartReading();
                await peer.EndedAsync();
                Assert.Equal((Line.Length, PeerSaw.Eof), (peer.Received.Length, peer.End));
            }

            await server.StopAsync();
        }

        Assert.Empty(unobserved.Faults);
    }

    private static Task<Task> EitherAsync(ConnectionContext connection)
    {
        return Task.WhenAny(ReadAsync(), WriteAsync());

        async Task ReadAsync()
        {
            while (await connection.Transport.Input.ReadAsync() is { IsCompleted: false } read)
            {
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
            }
        }

        async Task WriteAsync()
        {
            await connection.Transport.Output.WriteAsync("bye\n"u8.ToArray());
            await Pace.PauseAsync(TimeSpan.FromMilliseconds(20));
        }
    }
}
