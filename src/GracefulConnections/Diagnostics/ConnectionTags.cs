using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Diagnostics;

/// <summary>The tags by which OpenTelemetry says where a connection was accepted.</summary>
internal static class ConnectionTags
{
    /// <summary>Adds them as KestrelMetrics in 10.0 does, so that its series and these can be joined.</summary>
    /// <param name="tags">The tags to add to.</param>
    /// <param name="local">The connection's own address.</param>
    /// <param name="isServer">
    /// Whether an endpoint accepted the connection. The own address of one that a program made is no server's, and its
    /// port would make a series for each connection.
    /// </param>
    public static void Add(ref TagList tags, EndPoint? local, bool isServer)
    {
        if (isServer && local is not null)
        {
            tags.Add("server.address", local is IPEndPoint ip ? ip.Address.ToString() : local.ToString());
        }

        if (isServer && local is IPEndPoint { Port: var port })
        {
            tags.Add("server.port", port);
        }

        if (local is IPEndPoint)
        {
            tags.Add("network.type", local.AddressFamily == AddressFamily.InterNetwork ? "ipv4" : "ipv6");
        }

        if (local is not null)
        {
            tags.Add("network.transport", GetTransport(local));
        }
    }

    private static string GetTransport(EndPoint local) => local switch
    {
        IPEndPoint => "tcp",
        UnixDomainSocketEndPoint => "unix",
        NamedPipeEndPoint => "pipe",
        _ => $"{local.AddressFamily}",
    };
}
