using System.Buffers;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Support;

/// <summary>A handler as everyone writes it: answers each line with itself until the input ends, and has never heard of a drain.</summary>
internal static class LineEcho
{
    public static async Task ServeAsync(ConnectionContext connection)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            var result = await input.ReadAsync();
            var buffer = result.Buffer;
            while (buffer.PositionOf((byte)'\n') is { } newline)
            {
                var end = buffer.GetPosition(1, newline);
                await output.WriteAsync(buffer.Slice(0, end).ToArray());
                buffer = buffer.Slice(end);
            }

            input.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted)
            {
                return;
            }
        }
    }
}
