using System.Text;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>What peers do around a stop.</summary>
internal static class Scripts
{
    /// <summary>Sends the first part, lets the server begin to stop, sends the rest, and waits to be let go.</summary>
    public static Func<HabitPlay, Task> Halves(
        string first, string second, string reply, int repliedFirst = 0, double pause = 0.7) =>
        Halves(Encoding.ASCII.GetBytes(first), Encoding.ASCII.GetBytes(second), reply, repliedFirst, pause);

    /// <inheritdoc cref="Halves(string, string, string, int, double)"/>
    /// <param name="first">What is sent before the stop.</param>
    /// <param name="second">What is sent after it.</param>
    /// <param name="reply">All that the server answers.</param>
    /// <param name="repliedFirst">What the server answers before the stop, in bytes.</param>
    /// <param name="pause">The silence after the stop, in seconds.</param>
    public static Func<HabitPlay, Task> Halves(
        byte[] first, byte[] second, string reply, int repliedFirst = 0, double pause = 0.7) => async play =>
    {
        await play.Peer.SendAsync(first);
        await play.Peer.ReceivedAsync(repliedFirst);
        await Pace.TakenAsync();
        await play.StopAsync();
        await Pace.PauseAsync(TimeSpan.FromSeconds(pause));
        await play.Peer.SendAsync(second);
        await play.LetGoAsync(reply.Length);
    };

    /// <summary>Sends a file that ends with FIN, in pieces, with the stop and a silence behind the first.</summary>
    /// <param name="pieceBytes">The size of a piece.</param>
    /// <param name="pieceCount">The number of pieces behind the first.</param>
    /// <param name="pause">The silence after the stop.</param>
    /// <param name="pace">The silence between the pieces.</param>
    public static Func<HabitPlay, Task> Upload(int pieceBytes, int pieceCount, TimeSpan pause, TimeSpan pace) =>
        async play =>
        {
            await play.Peer.SendAsync(new byte[pieceBytes]);
            await Pace.TakenAsync();
            await play.StopAsync();
            await Pace.PauseAsync(pause);
            for (var i = 0; i < pieceCount && await play.Peer.SendAsync(new byte[pieceBytes]); i++)
            {
                await Pace.PauseAsync(pace);
            }

            play.Peer.HalfClose();
            await play.Peer.EndedAsync();
        };
}
