using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>A relay as one writes it on Kestrel as it comes: two copies, and FIN for FIN. The command <c>relay</c> runs it.</summary>
internal static class StockRelay
{
    public const string Command = "relay";

    public static Task RunAsync(IPEndPoint listen, IPEndPoint target)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(listen, endpoint => endpoint.Run(connection => RelayAsync(connection, target))));
        return builder.Build().RunAsync();
    }

    private static async Task RelayAsync(ConnectionContext connection, IPEndPoint target)
    {
        using var socket = new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(target);
        await using var upstream = new NetworkStream(socket);
        await Task.WhenAll(CopyToUpstreamAsync(), upstream.CopyToAsync(connection.Transport.Output.AsStream()));

        async Task CopyToUpstreamAsync()
        {
            await connection.Transport.Input.CopyToAsync(upstream);
            socket.Shutdown(SocketShutdown.Send);
        }
    }
}
