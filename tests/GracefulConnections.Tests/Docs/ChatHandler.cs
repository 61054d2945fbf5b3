using System.Collections.Concurrent;
using System.Text;
using System.Threading.Channels;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Tests.Docs;

public sealed class ChatHandler : GracefulConnectionHandler
{
    private readonly ConcurrentDictionary<string, Channel<string>> _members = new();

    protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        var outbox = Channel.CreateUnbounded<string>();
        outbox.Writer.TryWrite("welcome\n");
        _members[connection.ConnectionId] = outbox;
        var sending = SendAsync(connection, outbox.Reader);
        try
        {
            using var lines = new StreamReader(connection.Transport.Input.AsStream());
            while (await lines.ReadLineAsync(closeRequested) is { } line)
            {
                foreach (var member in _members.Values)
                {
                    member.Writer.TryWrite($"> {line}\n"); // One that does not read holds up nobody else.
                }
            }
        }
        finally
        {
            _members.TryRemove(connection.ConnectionId, out _);
            outbox.Writer.Complete();
            await sending;
        }
    }

    protected override async ValueTask SayGoodbyeAsync(
        ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) =>
        await connection.Transport.Output.WriteAsync("bye\n"u8.ToArray(), cancellationToken);

    private static async Task SendAsync(ConnectionContext connection, ChannelReader<string> outbox)
    {
        await foreach (var line in outbox.ReadAllAsync())
        {
            await connection.Transport.Output.WriteAsync(Encoding.UTF8.GetBytes(line));
        }
    }
}
