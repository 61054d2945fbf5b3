using System.Globalization;

namespace GracefulConnections.TestSupport;

/// <summary>One line of the kernel's table of TCP sockets over IPv4.</summary>
/// <param name="LocalPort">The port on this side.</param>
/// <param name="RemotePort">The port on the other side.</param>
/// <param name="State">As in <c>include/net/tcp_states.h</c>.</param>
/// <param name="SendQueueBytes">What is not acknowledged yet.</param>
/// <param name="HasDescriptor">
/// Whether a process still holds the socket; without it, the kernel alone brings it to its end.
/// </param>
public readonly record struct KernelSocket(
    int LocalPort, int RemotePort, byte State, long SendQueueBytes, bool HasDescriptor)
{
    public const byte FinWait1 = 4;
    public const byte FinWait2 = 5;
    public const byte CloseWait = 8;
    public const byte Listen = 10;

    /// <summary>Returns the sockets with <paramref name="localPort"/> on this side.</summary>
    public static IEnumerable<KernelSocket> OnPort(int localPort)
    {
        foreach (var line in File.ReadLines("/proc/net/tcp").Skip(1))
        {
            // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
            var fields = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            if (Port(fields[1]) == localPort)
            {
                yield return new KernelSocket(
                    localPort,
                    Port(fields[2]),
                    byte.Parse(fields[3], NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                    long.Parse(fields[4].AsSpan(0, 8), NumberStyles.HexNumber, CultureInfo.InvariantCulture),
                    fields[9] != "0");
            }
        }
    }

    /// <summary>
    /// Returns how many sockets this process has open. Not its other descriptors, because the runtime loads assemblies
    /// at any time.
    /// </summary>
    public static int CountDescriptors() => new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos()
        .Count(descriptor => descriptor.LinkTarget?.StartsWith("socket:", StringComparison.Ordinal) == true);

    private static int Port(string address) =>
        int.Parse(address.AsSpan(address.IndexOf(':') + 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
}
