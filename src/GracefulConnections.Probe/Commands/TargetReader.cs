using System.Globalization;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Commands;

/// <summary>Reads HOST:PORT, and refuses what the user did not allow.</summary>
internal static class TargetReader
{
    private static readonly TimeSpan NameLimit = TimeSpan.FromSeconds(10);

    /// <exception cref="ProbeFailedException">It is no address, has no address, or is not of this machine.</exception>
    public static async Task<Target> ReadAsync(string text, bool allowRemote, CancellationToken cancellationToken)
    {
        var colon = text.LastIndexOf(':');
        var host = colon > 0 ? text[..colon].Trim('[', ']') : "";
        if (host.Length == 0 || Uri.CheckHostName(host) == UriHostNameType.Unknown ||
            !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture,
                out var port) || port == 0)
        {
            throw new ProbeFailedException(
                ExitCode.Usage,
                    $"\"{text}\" is no server. Give a name or an address and a port from 1 to 65535, " +
                    "such as 127.0.0.1:6379 or [::1]:6379.");
        }

        var target = new Target(host, await ResolveAsync(host, cancellationToken), port);
        return target.IsLoopback || allowRemote
            ? target
            : throw new ProbeFailedException(
                ExitCode.Usage,
                $"{target} is not on this machine. The probe opens many connections and resets some. " +
                    "If you may do that there, give --allow-remote.");
    }

    private static async Task<IPAddress> ResolveAsync(string host, CancellationToken cancellationToken)
    {
        if (IPAddress.TryParse(host, out var address))
        {
            return address;
        }

        try
        {
            var addresses = await Dns.GetHostAddressesAsync(host, cancellationToken)
                .WaitAsync(NameLimit, cancellationToken);
            return addresses.OrderBy(one => one.AddressFamily).First(); // IPv4 first: most tutorials listen there only.
        }
        catch (Exception exception) when (exception is SocketException or TimeoutException or InvalidOperationException)
        {
            throw new ProbeFailedException(ExitCode.Unreachable, $"{host} has no address: {exception.Message}");
        }
    }
}
