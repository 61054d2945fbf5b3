using System.Buffers;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace GracefulServer;

/// <summary>Answers every line with itself. Put your protocol here.</summary>
public sealed class LineHandler : GracefulConnectionHandler
{
    private const int LongestLine = 64 * 1024;

    /// <inheritdoc/>
    protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        var graceful = connection.Features.Get<IGracefulCloseFeature>()!;
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            // When the server wants to close, this read is cancelled, between two lines and never in one.
            // OperationCanceledException may leave this method: it counts as a normal return.
            var read = await input.ReadAsync();
            var rest = read.Buffer;
            while (TryReadLine(ref rest, out var line))
            {
                using var message = graceful.BeginMessage(); // A stop waits for what is in hand.
                foreach (var part in line)
                {
                    output.Write(part.Span);
                }

                await output.FlushAsync();
            }

            input.AdvanceTo(rest.Start, rest.End);
            if (read.IsCompleted || rest.Length > LongestLine)
            {
                return;
            }
        }
    }

    /// <summary>Says why the connection ends, when the server asked for it.</summary>
    protected override async ValueTask SayGoodbyeAsync(
        ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) =>
        await connection.Transport.Output.WriteAsync("bye\n"u8.ToArray(), cancellationToken);

    private static bool TryReadLine(ref ReadOnlySequence<byte> rest, out ReadOnlySequence<byte> line)
    {
        if (rest.PositionOf((byte)'\n') is not { } end)
        {
            line = default;
            return false;
        }

        line = rest.Slice(0, rest.GetPosition(1, end));
        rest = rest.Slice(line.End);
        return true;
    }
}
