using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.ProbeServers;

/// <summary>Answers each line by the same line. The line "quit" ends the connection, half a line is no line.</summary>
internal static class LineHandler
{
    public static async Task ServeAsync(ConnectionContext connection)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            var read = await input.ReadAsync();
            var rest = read.Buffer;
            var isOver = Answer(ref rest, output) || read.IsCompleted;
            input.AdvanceTo(rest.Start, rest.End);
            var flush = await output.FlushAsync();
            if (isOver || flush.IsCompleted)
            {
                return;
            }
        }
    }

    private static bool Answer(ref ReadOnlySequence<byte> rest, PipeWriter output)
    {
        while (rest.PositionOf((byte)'\n') is { } end)
        {
            var line = rest.Slice(0, rest.GetPosition(1, end));
            rest = rest.Slice(line.End);
            if (line.ToArray().AsSpan().TrimEnd("\r\n"u8).SequenceEqual("quit"u8))
            {
                return true;
            }

            foreach (var part in line)
            {
                output.Write(part.Span);
            }
        }

        return false;
    }
}
