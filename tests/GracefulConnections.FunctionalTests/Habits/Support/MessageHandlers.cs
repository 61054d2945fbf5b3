using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Handlers that execute messages and answer each. None of them knows anything of closing.</summary>
internal static class MessageHandlers
{
    /// <summary>Reads lines by a <see cref="StreamReader"/>, which holds half a line itself.</summary>
    public static async Task StreamReaderAsync(ConnectionContext connection, HabitPlay play)
    {
        using var reader = new StreamReader(connection.Transport.Input.AsStream());
        while (await reader.ReadLineAsync() is { } line)
        {
            await ExecuteAsync(connection, play, line);
        }
    }

    /// <summary>Executes lines which it takes from a stream byte by byte.</summary>
    public static async Task ByteByByteAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input.AsStream();
        var (line, next) = (string.Empty, new byte[1]);
        while (await input.ReadAsync(next) == 1)
        {
            if (next[0] != '\n')
            {
                line += (char)next[0];
                continue;
            }

            await ExecuteAsync(connection, play, line);
            line = string.Empty;
        }
    }

    /// <summary>Reads lines straight from the pipe, where half a line is not consumed.</summary>
    public static async Task PipeLinesAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            var read = await input.ReadAsync();
            var buffer = read.Buffer;
            while (buffer.PositionOf((byte)'\n') is { } end)
            {
                var line = Encoding.ASCII.GetString(buffer.Slice(0, end));
                buffer = buffer.Slice(buffer.GetPosition(1, end));
                await ExecuteAsync(connection, play, line);
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }

    /// <summary>Reads frames by a <see cref="BinaryReader"/>, which blocks its thread.</summary>
    public static Task BinaryReaderAsync(ConnectionContext connection, HabitPlay play) => Task.Run(() =>
    {
        using var stream = connection.Transport.Input.AsStream();
        using var reader = new BinaryReader(stream);
        using var output = connection.Transport.Output.AsStream(leaveOpen: true);
        while (true)
        {
            int length;
            try
            {
                length = BinaryPrimitives.ReverseEndianness(reader.ReadInt32());
            }
            catch (EndOfStreamException)
            {
                return; // As everybody ends such a loop.
            }

            play.Note(Encoding.ASCII.GetString(reader.ReadBytes(length))); // It returns fewer at the input's end.
            output.Write("ok\n"u8);
            output.Flush();
        }
    });

    /// <summary>Consumes a frame's header, and then waits for its body.</summary>
    public static async Task HeaderThenBodyAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input;
        while (true)
        {
            var read = await input.ReadAtLeastAsync(sizeof(int));
            if (read.Buffer.Length < sizeof(int))
            {
                return;
            }

            var length = BinaryPrimitives.ReadInt32BigEndian(read.Buffer.Slice(0, sizeof(int)).ToArray());
            input.AdvanceTo(read.Buffer.GetPosition(sizeof(int)));
            read = await input.ReadAtLeastAsync(length);
            var body = read.Buffer.Slice(0, Math.Min(length, read.Buffer.Length));
            play.Note(Encoding.ASCII.GetString(body));
            input.AdvanceTo(body.End);
            if (body.Length < length)
            {
                throw new EndOfStreamException();
            }

            await connection.Transport.Output.WriteAsync("ok\n"u8.ToArray());
        }
    }

    private static async Task ExecuteAsync(ConnectionContext connection, HabitPlay play, string line)
    {
        play.Note(line);
        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes($"ok {line}\n"));
    }
}
