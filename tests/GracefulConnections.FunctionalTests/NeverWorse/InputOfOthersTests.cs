using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A middleware before has the input for itself, and the handler only sends.</summary>
public class InputOfOthersTests
{
    private const int ReplyBytes = 5000;

    /// <summary>What the middleware does with the input.</summary>
    public enum Use
    {
        /// <summary>It completes it, because nobody is to read.</summary>
        Complete,

        /// <summary>It waits in a read for the end of the connection.</summary>
        Read,
    }

    [Theory]
    [InlineData(Use.Complete)]
    [InlineData(Use.Read)]
    public async Task HandlerReturns_PeerSeesTheReplyAndFin_AsOnStock(Use use)
    {
        var stock = await PlayAsync(use, graceful: false);
        var graceful = await PlayAsync(use, graceful: true);

        Assert.Equal((ReplyBytes, PeerSaw.Eof, false), stock);
        Assert.Equal((ReplyBytes, PeerSaw.Eof, false), graceful);
    }

    private static async Task<(int Bytes, PeerSaw End, bool IsAborted)> PlayAsync(Use use, bool graceful)
    {
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (server, endpoint) =>
            {
                endpoint.Use(next => connection =>
                {
                    UseInput(use, connection);
                    return next(connection);
                });
                if (graceful)
                {
                    endpoint.UseGracefulShutdown(static close => close.LingerIdleTimeout = TimeSpan.FromMilliseconds(100))
                        .Use(server.ObserveResults);
                }

                endpoint.Run(static connection => connection.SendAsync(ReplyBytes));
            });
        await using var peer = await server.ConnectAsync();
        var (bytes, end) = await peer.ReadToEndAsync();
        return ((int)bytes, end, graceful && (await server.NextResultAsync()).Outcome == CloseOutcome.Aborted);
    }

    private static void UseInput(Use use, ConnectionContext connection)
    {
        if (use == Use.Complete)
        {
            connection.Transport.Input.Complete();
        }
        else
        {
            _ = connection.Transport.Input.ReadAsync(CancellationToken.None).AsTask()
                .ContinueWith(static read => read.Exception, TaskScheduler.Default);
        }
    }
}
