using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Handlers that store what they are sent. What they note was stored for good.</summary>
internal static class StoreHandlers
{
    /// <summary>Stores everything up to the peer's FIN, and then says how much it was.</summary>
    public static async Task UntilEndAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        long stored = 0;
        while (true)
        {
            var read = await input.ReadAsync();
            stored += read.Buffer.Length;
            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                break;
            }
        }

        await StoredAsync(connection, play, stored);
    }

    /// <summary>The same by <c>CopyToAsync</c> of the reader.</summary>
    public static async Task CopyToStreamAsync(ConnectionContext connection, HabitPlay play)
    {
        using var file = new MemoryStream();
        await connection.Transport.Input.CopyToAsync(file);
        await StoredAsync(connection, play, file.Length);
    }

    /// <summary>The same by <c>CopyToAsync</c> of the reader's stream.</summary>
    public static async Task CopyFromStreamAsync(ConnectionContext connection, HabitPlay play)
    {
        using var file = new MemoryStream();
        await connection.Transport.Input.AsStream().CopyToAsync(file);
        await StoredAsync(connection, play, file.Length);
    }

    /// <summary>Stores each line, and never answers.</summary>
    public static async Task OneWayAsync(ConnectionContext connection, HabitPlay play)
    {
        using var reader = new StreamReader(connection.Transport.Input.AsStream());
        while (await reader.ReadLineAsync() is { } line)
        {
            play.Note(line);
        }
    }

    /// <summary>Acknowledges each piece, stores all of them at the peer's FIN.</summary>
    public static async Task AcknowledgePiecesAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        long stored = 0;
        while (true)
        {
            var read = await input.ReadAsync();
            stored += read.Buffer.Length;
            input.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                break;
            }

            await connection.Transport.Output.WriteAsync(Line($"ack {stored}"));
        }

        await StoredAsync(connection, play, stored);
    }

    /// <summary>The same, with acknowledgements that another task sends while the next read is pending.</summary>
    public static async Task AcknowledgePiecesAsideAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        long stored = 0;
        var acknowledging = Task.CompletedTask;
        while (true)
        {
            var read = await input.ReadAsync();
            stored += read.Buffer.Length;
            input.AdvanceTo(read.Buffer.End);
            await acknowledging;
            if (read.IsCompleted)
            {
                break;
            }

            acknowledging = AcknowledgeAsync(stored);
        }

        await StoredAsync(connection, play, stored);

        async Task AcknowledgeAsync(long count)
        {
            await Pace.PauseAsync(TimeSpan.FromMilliseconds(100)); // As a disk takes it.
            await connection.Transport.Output.WriteAsync(Line($"ack {count}"));
        }
    }

    private static async Task StoredAsync(ConnectionContext connection, HabitPlay play, long count)
    {
        play.Note($"stored {count}");
        await connection.Transport.Output.WriteAsync(Line($"stored {count}"));
    }

    private static byte[] Line(FormattableString text) =>
        Encoding.ASCII.GetBytes($"{text.ToString(CultureInfo.InvariantCulture)}\n");
}
