using System.IO.Pipelines;
using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Matrix;

/// <summary>One cell, played with a real server and a peer.</summary>
internal sealed class MatrixRun(MatrixCase cell)
{
    private const int MessageBytes = 100;
    private const int ReplyBytes = 1_500_000;
    private const int StuckReplyBytes = 12_000_000; // More than both kernels hold.
    private static readonly TimeSpan Short = TimeSpan.FromMilliseconds(200);

    private readonly TaskCompletionSource _serving = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _serverEnds = new(TaskCreationOptions.RunContinuationsAsynchronously);

    // A reply that must not fit into the kernels where the peer does not take it, or not all of it.
    private int WholeReplyBytes => cell switch
    {
        { Activity: not MatrixActivity.Sending } => 0,
        { End: MatrixEnd.Fin or MatrixEnd.CloseNotify } => ReplyBytes,
        _ => StuckReplyBytes,
    };

    private bool ServerEnds => cell.Side == MatrixSide.Server;

    /// <returns>What the peer saw and the outcome, in the words of the page's table.</returns>
    public async Task<string> RunAsync()
    {
        var pipes = new PipeTransport();
        await using var server = await StartAsync(pipes);
        await using var peer = await ConnectAsync(server, pipes);
        await peer.SendAsync(MessageBytes);
        await peer.ReceiveExactlyAsync(MessageBytes);
        await _serving.Task.InTimeAsync();
        return cell.End switch
        {
            MatrixEnd.Rst => ServerEnds ? await ServerAbortsAsync(server, peer) : await PeerResetsAsync(server, peer),
            MatrixEnd.Stall => await PeerStallsAsync(server, peer),
            _ => await BothEndAsync(server, peer),
        };
    }

    private async Task<string> BothEndAsync(TestServer server, MatrixPeer peer)
    {
        var uploading = cell.Activity == MatrixActivity.Receiving ? peer.SendAsync(ReplyBytes) : Task.CompletedTask;
        if (ServerEnds)
        {
            _serverEnds.SetResult();
        }
        else
        {
            await uploading;
            await peer.HalfCloseAsync(cell.End == MatrixEnd.CloseNotify);
        }

        var (bytes, end) = await peer.ReceiveToEndAsync();
        await uploading;
        if (ServerEnds)
        {
            await peer.HalfCloseAsync(cell.End == MatrixEnd.CloseNotify);
        }

        var result = await server.NextResultAsync();
        return Describe(bytes, end + await peer.ReceiveWhatFollowsAsync(end), result);
    }

    private async Task<string> ServerAbortsAsync(TestServer server, MatrixPeer peer)
    {
        await SendHalfAsync(peer);
        _serverEnds.SetResult();
        // Before the peer reads: a quick one would have everything before the abort.
        var result = await server.NextResultAsync();
        var (bytes, end) = await peer.ReceiveToEndAsync();
        return Describe(bytes, end, result);
    }

    private async Task<string> PeerStallsAsync(TestServer server, MatrixPeer peer)
    {
        await SendHalfAsync(peer);
        _serverEnds.SetResult();
        var result = await server.NextResultAsync();
        if (cell.Transport is MatrixTransport.Plain or MatrixTransport.TlsInside or MatrixTransport.TlsOutside)
        {
            await server.SocketsClosedAsync(); // What an RST would come from.
        }

        var (bytes, end) = await peer.ReceiveToEndAsync();
        return Describe(bytes, end + await peer.ReceiveWhatFollowsAsync(end), result);
    }

    private static async Task<string> PeerResetsAsync(TestServer server, MatrixPeer peer)
    {
        peer.Reset();
        return $"`{(await server.NextResultAsync()).Outcome}`";
    }

    private Task SendHalfAsync(MatrixPeer peer) =>
        cell.Activity == MatrixActivity.Receiving ? peer.SendAsync(MessageBytes / 2) : Task.CompletedTask;

    private string Describe(long bytes, string end, CloseResult result) =>
        $"{(bytes == WholeReplyBytes ? "all" : bytes < WholeReplyBytes ? "a part" : "too much")}, {end}: `{result.Outcome}`";

    private async Task HandleAsync(ConnectionContext connection)
    {
        await connection.ReadExactlyAsync(MessageBytes);
        await connection.SendAsync(MessageBytes);
        _serving.SetResult();
        if (ServerEnds)
        {
            await _serverEnds.Task;
            if (cell.Activity == MatrixActivity.Receiving)
            {
                await connection.ReadExactlyAsync(MessageBytes / 2);
            }

            if (cell.Activity == MatrixActivity.Sending)
            {
                _ = connection.SendAsync(WholeReplyBytes);
            }

            if (cell.End == MatrixEnd.Rst)
            {
                connection.Abort();
            }
        }
        else
        {
            if (cell.Activity == MatrixActivity.Sending)
            {
                if (cell.End == MatrixEnd.Stall)
                {
                    connection.Graceful().RequestClose(); // A handler that is blocked in its write is not idle.
                }

                await connection.SendAsync(WholeReplyBytes);
            }

            if (cell is { Activity: MatrixActivity.Receiving, End: MatrixEnd.Stall })
            {
                // Half a message.
                await connection.Transport.Input.ReadAtLeastAsync(MessageBytes, connection.Graceful().CloseRequested);
            }

            await connection.ReadToEndAsync();
        }
    }

    private void Configure(GracefulCloseOptions options)
    {
        TestServer.BecomeQuietSoon(options);
        var stalls = cell.End == MatrixEnd.Stall;
        options.LingerIdleTimeout = stalls ? Short : 2 * TestServer.TestLimit; // A slow machine is no silent peer.
        options.FlushStallTimeout = stalls ? Short : 2 * TestServer.TestLimit;

        // It counts from the accept on, and the time that a busy machine needs for a handshake is no stall.
        options.IdleTimeout = stalls && !ServerEnds && cell.Activity != MatrixActivity.Sending ? 5 * Short : null;
    }

    private Task<TestServer> StartAsync(PipeTransport pipes) => cell.Transport switch
    {
        MatrixTransport.TlsInside => TestServer.StartTlsAsync(TlsPlacement.Inside, HandleAsync, Configure),
        MatrixTransport.TlsOutside => TestServer.StartTlsAsync(TlsPlacement.Outside, HandleAsync, Configure),
        MatrixTransport.Unix => TestServer.StartUnixAsync(HandleAsync, Configure),
        MatrixTransport.NoSocket => TestServer.StartAsync(
            pipes.EndPoint,
            (server, endpoint) => endpoint
                .UseGracefulShutdown(Configure)
                .Use(server.ObserveResults)
                .Run(connection => HandleAsync(connection)),
            builder => builder.Services.AddSingleton<IConnectionListenerFactory>(pipes)),
        _ => TestServer.StartAsync(HandleAsync, Configure),
    };

    private async Task<MatrixPeer> ConnectAsync(TestServer server, PipeTransport pipes) => cell.Transport switch
    {
        MatrixTransport.TlsInside or MatrixTransport.TlsOutside =>
            new TlsMatrixPeer(await TlsPeer.ConnectAsync(server)),
        MatrixTransport.NoSocket => new PipeMatrixPeer(pipes.Connect()),
        _ => new SocketMatrixPeer(await server.ConnectAsync()),
    };
}
