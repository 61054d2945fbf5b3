using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using System.Threading.Channels;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace Worker;

/// <summary>Sends ticks to one subscriber, a line each. It only sends, so nothing but the token tells it that the server wants to close.</summary>
internal sealed class SubscriberHandler(TickFeed feed, Ledger ledger, ILogger<SubscriberHandler> logger) : GracefulConnectionHandler
{
    protected override async Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested)
    {
        // A subscriber that has gone: nobody reads its input, so only this tells.
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(closeRequested, connection.ConnectionClosed);
        var ticks = feed.Subscribe();
        var sent = 0L;
        try
        {
            while (await ticks.WaitToReadAsync(ending.Token))
            {
                sent += await SendAllAsync(ticks, connection.Transport.Output);
            }
        }
        catch (OperationCanceledException)
        {
            // The feed stopped before anybody was asked to close, so what is in the channel by now is the rest. A subscriber that has gone takes no more; that is no fault.
            sent += await SendAllAsync(ticks, connection.Transport.Output);
        }
        finally
        {
            feed.Unsubscribe(ticks);
            ledger.Add(sent);
        }
    }

    protected override async ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken)
    {
        await connection.Transport.Output.WriteAsync("bye\n"u8.ToArray(), cancellationToken);
        logger.LogInformation("Said goodbye to subscriber {ConnectionId} ({Reason}).", connection.ConnectionId, reason);
    }

    private static async Task<long> SendAllAsync(ChannelReader<long> ticks, PipeWriter output)
    {
        var count = 0;
        while (ticks.TryRead(out var tick))
        {
            output.Write(Encoding.ASCII.GetBytes($"tick {tick}\n"));
            count++;
        }

        await output.FlushAsync();
        return count;
    }
}
