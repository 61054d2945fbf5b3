using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.Habits;

/// <summary>A host stops in the middle of a TLS record, inside and outside of <c>UseGracefulShutdown()</c>.</summary>
public class TlsLayerTests
{
    private const string FirstReply = "ok first\n";
    private const string Replies = $"{FirstReply}ok DELETE 123456\n";

    private static readonly string[] Executed = ["first", "DELETE 123456"];

    [Theory]
    [InlineData(TlsPlacement.Outside, 0.7)]
    [InlineData(TlsPlacement.Inside, 0.3)] // There it has answered, and is let go after QuietTime.
    public async Task Stop_HalfARecord_IsExecutedWhole(TlsPlacement placement, double pause)
    {
        var isInside = placement == TlsPlacement.Inside;
        var played = await Habit.CompareAsync(
            MessageHandlers.StreamReaderAsync,
            async play =>
            {
                var tls = play.Peer.Tls!;
                await tls.SendAsync("first\n"u8.ToArray());
                await play.Peer.ReceivedAsync(FirstReply.Length);
                var record = await tls.EncryptAsync("DELETE 123456\n"u8.ToArray());
                await play.Peer.SendAsync(record.AsMemory(0, record.Length / 2));
                await Pace.TakenAsync();
                await play.StopAsync();
                await Pace.PauseAsync(TimeSpan.FromSeconds(pause));
                await play.Peer.SendAsync(record.AsMemory(record.Length / 2));
                await play.LetGoAsync(Replies.Length);
            },
            new HabitSetup
            {
                Before = isInside ? static endpoint => endpoint.UseHttps(TestCertificate.Server) : null,
                Behind = isInside ? null : static endpoint => endpoint.UseHttps(TestCertificate.Server),
                Greet = HeldTls.GreetAsync,
                ReadsAtOnce = false,
                Options = static options => (options.QuietTime, options.MessageGap) = (TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(10)), // A busy machine makes the pause longer.
            });

        played.AssertCarriedAlike(Executed, Replies);
        Assert.Equal(CloseOutcome.Graceful, played.Ours.Close!.Value.Outcome);
    }
}
