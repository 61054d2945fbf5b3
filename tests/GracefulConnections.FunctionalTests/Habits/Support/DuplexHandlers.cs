using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Handlers that write while they read.</summary>
internal static class DuplexHandlers
{
    public const int TickCount = 30;
    public const char DownloadByte = 'd';
    public const int DownloadPieceBytes = 20_000;

    private static readonly byte[] Piece = Encoding.ASCII.GetBytes(new string(DownloadByte, DownloadPieceBytes));
    private static readonly TimeSpan TickInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Gets everything that the pushing handlers send.</summary>
    public static string AllTicks { get; } = string.Concat(Enumerable.Range(0, TickCount).Select(Tick));

    /// <summary>Pushes, and never reads.</summary>
    public static Task PushAsync(ConnectionContext connection, HabitPlay play) => TicksAsync(connection, play);

    /// <summary>Pushes beside a pending read.</summary>
    public static async Task PushAndReadAsync(ConnectionContext connection, HabitPlay play)
    {
        var reading = ReadAsync();
        await TicksAsync(connection, play);
        connection.Transport.Input.CancelPendingRead();
        await reading;

        async Task ReadAsync()
        {
            while (await connection.Transport.Input.ReadAsync() is { IsCanceled: false, IsCompleted: false } read)
            {
                connection.Transport.Input.AdvanceTo(read.Buffer.End);
            }
        }
    }

    /// <summary>
    /// Starts a job for each line, and reads on. "quick" is answered after 0.2 s, "slow" after 2.5 s, which is more
    /// than <c>QuietTime</c> and less than <c>MessageGap</c>.
    /// </summary>
    public static async Task JobsAsync(ConnectionContext connection, HabitPlay play)
    {
        using var turn = new SemaphoreSlim(1);
        await ForEachLineAsync(connection, WorkAsync);

        async Task WorkAsync(string job, CancellationToken inputEnded)
        {
            await Pace.WorkAsync(TimeSpan.FromSeconds(job == "quick" ? 0.2 : 2.5), inputEnded);
            await turn.WaitAsync(inputEnded);
            try
            {
                play.Note(job);
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes($"done {job}\n"), inputEnded);
            }
            finally
            {
                turn.Release();
            }
        }
    }

    /// <summary>Sends a file of some pieces for each line, beside the read of the next line.</summary>
    public static Task DownloadAsync(ConnectionContext connection, HabitPlay play, int pieceCount, TimeSpan pause)
    {
        return ForEachLineAsync(connection, SendAsync);

        async Task SendAsync(string name, CancellationToken inputEnded)
        {
            await Pace.WorkAsync(TickInterval, inputEnded); // To find the file, while the next line is read already.
            for (var piece = 0; piece < pieceCount; piece++)
            {
                await connection.Transport.Output.WriteAsync(Piece, inputEnded);
                if (piece < pieceCount - 1)
                {
                    await Pace.WorkAsync(pause, inputEnded);
                }
            }

            play.Note($"sent {name}");
        }
    }

    // Whoever has ended its input wants nothing more: so do many servers take it, and give up what they do for it.
    private static async Task ForEachLineAsync(
        ConnectionContext connection, Func<string, CancellationToken, Task> start)
    {
        using var reader = new StreamReader(connection.Transport.Input.AsStream());
        using var ended = new CancellationTokenSource();
        var jobs = new List<Task>();
        try
        {
            while (await reader.ReadLineAsync() is { } line)
            {
                jobs.Add(start(line, ended.Token));
            }
        }
        finally
        {
            await ended.CancelAsync();
            await Task.WhenAll(jobs).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static async Task TicksAsync(ConnectionContext connection, HabitPlay play)
    {
        for (var i = 0; i < TickCount; i++)
        {
            await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Tick(i)));
            await Pace.PauseAsync(TickInterval);
        }

        play.Note("pushed");
    }

    private static string Tick(int number) => $"tick {number}\n";
}
