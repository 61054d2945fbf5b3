using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;
using RespServer.Commands;
using RespServer.Protocol;

namespace RespServer;

/// <summary>
/// Serves one client. What a client that goes on reading can rely on, also when the server stops: replies are whole and
/// in order, every command that was executed gets its reply, and a command without a reply was not executed.
/// </summary>
internal sealed class RespHandler(CommandTable commands, Settings settings) : GracefulConnectionHandler
{
    private static readonly byte[] Goodbye = "-SHUTDOWN the server is stopping, reconnect\r\n"u8.ToArray();

    protected override Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) =>
        ServeAsync(
            connection.Transport.Input, new Session(new ReplyWriter(connection.Transport.Output)), closeRequested);

    // Off by default: RESP2 knows no message but replies, so a client that is waiting for nothing would take this for
    // the reply to its next command. Real Redis just closes, and clients reconnect on that. Turn it on for clients that
    // should log why.
    protected override async ValueTask SayGoodbyeAsync(
        ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken)
    {
        if (settings.Goodbye)
        {
            await connection.Transport.Output.WriteAsync(Goodbye, cancellationToken);
        }
    }

    // The read does not get the token, which would cancel it in the middle of a command. When a close is requested while this
    // waits between two commands, the library cancels the read, and the exception ends this loop.
    // The token is for the client that never pauses: what had arrived is served, the rest of half a command is waited for, and
    // what comes later is not read.
    private async Task ServeAsync(PipeReader input, Session session, CancellationToken closeRequested)
    {
        var request = new Request();
        var closing = false;
        while (!session.HasEnded)
        {
            var inTheMiddleOfTheLast = closing;
            closing = closeRequested.IsCancellationRequested;
            var read = await input.ReadAsync(CancellationToken.None);
            var rest = await ExecuteAsync(read.Buffer, request, session, inTheMiddleOfTheLast);
            input.AdvanceTo(rest.Start, rest.End);

            // Once for all commands that arrived together: a flush each would cost a system call and a packet each.
            if (!await session.Reply.FlushAsync() || read.IsCompleted || (closing && rest.IsEmpty))
            {
                return;
            }
        }
    }

    private async ValueTask<ReadOnlySequence<byte>> ExecuteAsync(
        ReadOnlySequence<byte> buffer, Request request, Session session, bool onlyOne)
    {
        try
        {
            while (!session.HasEnded && RequestParser.TryParse(ref buffer, request))
            {
                if (request.Count == 0)
                {
                    continue; // An empty line, or an array of nothing: as in Redis, no command and no reply.
                }

                await commands.ExecuteAsync(request, session);

                // A few bytes can ask for megabytes. So the replies are sent as they come, and no faster than the
                // client reads.
                if (onlyOne || (session.Reply.IsFlushDue && !await session.Reply.FlushAsync()))
                {
                    session.End();
                }
            }
        }
        catch (ProtocolException exception)
        {
            session.Reply.WriteError($"ERR Protocol error: {exception.Message}");
            session.End(); // Nobody knows where the next command begins.
        }

        return buffer;
    }
}
