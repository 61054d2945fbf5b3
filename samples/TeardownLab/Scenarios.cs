using Microsoft.AspNetCore.Connections;

namespace TeardownLab;

/// <summary>What peers and handlers do to a server that ends their connections.</summary>
internal static class Scenarios
{
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(30);

    public static IReadOnlyList<Scenario> All { get; } =
    [
        new()
        {
            Name = "upload while reading",
            Handler = ReplyAsync,
            Peer = async (peer, server) =>
            {
                using var enough = new CancellationTokenSource();
                var upload = peer.SendAsync(long.MaxValue, enough.Token);
                await HearOfTheEndLateAsync(server);
                await peer.ReadToEndAsync();
                await enough.CancelAsync();
                await upload;
            },
        },
        new()
        {
            Name = "4 bytes after our FIN",
            Handler = ReplyAsync,
            Peer = async (peer, server) =>
            {
                await HearOfTheEndLateAsync(server);
                await peer.SendAsync(4);
                await peer.ReadToEndAsync();
            },
        },
        new()
        {
            Name = "slow reader",
            Handler = ReplyAsync,
            Peer = async (peer, _) =>
            {
                while (await peer.ReadAsync())
                {
                    await Task.Delay(Moment);
                }
            },
        },
        new()
        {
            Name = "half-close first",
            Handler = async (connection, bytes) =>
            {
                await connection.Transport.Input.CopyToAsync(Stream.Null);
                await ReplyAsync(connection, bytes);
            },
            Peer = async (peer, _) =>
            {
                await peer.SendAsync(100);
                peer.HalfClose();
                await peer.ReadToEndAsync();
            },
        },
        new()
        {
            Name = "peer never closes",
            Handler = ReplyAsync,
            Peer = async (peer, server) =>
            {
                await peer.ReadToEndAsync();
                await server.WaitForCloseAsync();
            },
            Configure = options => options.LingerIdleTimeout = TimeSpan.FromSeconds(1), // The default is 5 seconds.
        },
        new()
        {
            Name = "handler never reads",
            Handler = ReplyAsync,
            Peer = async (peer, _) =>
            {
                await peer.SendAsync(8_000_000); // It does not read before it has sent everything.
                await peer.ReadToEndAsync();
            },
        },
        new()
        {
            Name = "handler throws",
            Handler = async (connection, bytes) =>
            {
                await connection.Transport.Input.ReadAsync();
                await ReplyAsync(connection, bytes);
                throw new InvalidOperationException("The rest of the reply could not be made.");
            },
            Peer = async (peer, server) =>
            {
                await peer.SendAsync(100);
                await HearOfTheEndLateAsync(server);
                await peer.ReadToEndAsync();
            },
        },
        new()
        {
            Name = "peer resets",
            Handler = ReplyAsync,
            Peer = async (peer, _) =>
            {
                await peer.ReadAsync();
                peer.Reset();
            },
            LosesByIntent = true,
        },
    ];

    // Loopback has no distance: on a network the peer always learns later than the server has ended the connection.
    private static async Task HearOfTheEndLateAsync(LabServer server)
    {
        await server.HandlerReturned;
        await Task.Delay(Moment);
    }

    private static async Task ReplyAsync(ConnectionContext connection, int bytes) =>
        await connection.Transport.Output.WriteAsync(new byte[bytes]);
}
