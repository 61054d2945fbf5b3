using System.Text;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>Reads lines by a <see cref="StreamReader"/> too, and looks at the token between two of them.</summary>
internal sealed class LineConnectionHandler(HabitPlay play) : GracefulConnectionHandler
{
    protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        using var reader = new StreamReader(connection.Transport.Input.AsStream());
        while (!closeRequested.IsCancellationRequested
            && await reader.ReadLineAsync(CancellationToken.None) is { } line)
        {
            play.Note(line);
            var reply = Encoding.ASCII.GetBytes($"ok {line}\n");
            await connection.Transport.Output.WriteAsync(reply, CancellationToken.None);
        }
    }
}
