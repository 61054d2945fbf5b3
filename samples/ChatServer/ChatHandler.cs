using System.Buffers;
using System.Text;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace ChatServer;

/// <summary>One connection: its first line is the member's name, "/join" changes the room, the rest is said there.</summary>
internal sealed class ChatHandler(Rooms rooms) : GracefulConnectionHandler
{
    private const int LongestLine = 4096;

    protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        var graceful = connection.Features.Get<IGracefulCloseFeature>()!;
        var input = connection.Transport.Input;
        var member = new Member(connection.Transport.Output);
        var writing = member.WriteAllAsync();
        var (name, room) = ("", "lobby");
        rooms.Enter(room, member);
        graceful.Tag = room; // By which an operator finds and drains a room.
        try
        {
            while (true)
            {
                // A close request cancels the read, and the connection ends below.
                var read = await input.ReadAsync(closeRequested);
                var rest = read.Buffer;
                while (TryReadLine(ref rest, out var line))
                {
                    // From here to the end of the scope the line is in hand, and a stop waits for it.
                    using var message = graceful.BeginMessage();
                    if (line.StartsWith("/join ", StringComparison.Ordinal))
                    {
                        rooms.Leave(room, member);
                        graceful.Tag = room = line["/join ".Length..];
                        rooms.Enter(room, member);
                    }

                    rooms.Say(room, member, name.Length == 0 ? $"* {line} is here" : $"{name}: {line}");
                    name = name.Length == 0 ? line : name;
                }

                input.AdvanceTo(rest.Start, rest.End);
                if (read.IsCompleted || rest.Length > LongestLine)
                {
                    return; // Half a line without its end is no line.
                }
            }
        }
        catch (OperationCanceledException) when (closeRequested.IsCancellationRequested)
        {
            // The goodbye follows, and then the end.
        }
        finally
        {
            rooms.Leave(room, member);
            rooms.Say(room, member, $"* {name} left");
            member.Leave();
            await writing;
        }
    }

    protected override async ValueTask SayGoodbyeAsync(
        ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) =>
        await connection.Transport.Output.WriteAsync("* the server restarts, come back\n"u8.ToArray(), cancellationToken);

    private static bool TryReadLine(ref ReadOnlySequence<byte> rest, out string line)
    {
        var reader = new SequenceReader<byte>(rest);
        if (!reader.TryReadTo(out ReadOnlySequence<byte> found, (byte)'\n'))
        {
            line = "";
            return false;
        }

        rest = rest.Slice(reader.Position);
        line = Encoding.UTF8.GetString(found).TrimEnd('\r');
        return true;
    }
}
