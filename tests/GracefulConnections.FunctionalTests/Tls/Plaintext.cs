using System.Text;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>What a server writes that must not be seen below TLS, and the ends that a peer can ask it for.</summary>
internal static class Plaintext
{
    public const string Marker = "PLAINTEXT-MARKER";
    public const string Greeting = $"<{Marker} greeting>";
    public const string LastWords = $"<{Marker} last words>"; // Written and not flushed: the close does that.
    public const string Served = $"{Greeting}{Greeting}{LastWords}"; // Where it answers before its last words.
    public const string Goodbye = $"<{Marker} goodbye>";

    public const byte Return = (byte)'r';
    public const byte RequestClose = (byte)'c';
    public const byte AwaitDrain = (byte)'d';
    public const byte Abort = (byte)'a';
    public const byte Throw = (byte)'t';

    public static async Task ServeAsync(ConnectionContext connection)
    {
        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Greeting));
        var read = await connection.Transport.Input.ReadAsync();
        var command = read.Buffer.FirstSpan[0];
        connection.Transport.Input.AdvanceTo(read.Buffer.End);
        switch (command)
        {
            case RequestClose:
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Greeting)); // As below.
                connection.Graceful().RequestClose();
                break;
            case AwaitDrain:
                // It answers: what a cancelled read leaves unanswered ends by RST.
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Greeting));

                // Outside of TLS the cancelled read is TLS's own, and the handler inside is told of an error.
                var end = await Record.ExceptionAsync(() => connection.ReadToEndAsync());
                Assert.True(end is OperationCanceledException or IOException, $"The read ended by {end}.");
                break;
            case Abort:
                connection.Abort();
                break;
            case Throw:
                throw new InvalidOperationException("The handler's own.");
        }

        Encoding.ASCII.GetBytes(LastWords, connection.Transport.Output);
    }

    public static async ValueTask SayGoodbyeAsync(
        ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) =>
        await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Goodbye), cancellationToken);
}
