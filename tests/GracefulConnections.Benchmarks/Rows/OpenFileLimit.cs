using System.Globalization;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>The number of files that a process may have open, sockets included.</summary>
internal static class OpenFileLimit
{
    private const int OwnFiles = 500; // Assemblies, pipes, the runtime's own.

    /// <summary>Gets how many connections a process can have. The runtime has raised its limit as far as it may.</summary>
    public static int Connections
    {
        get
        {
            if (!OperatingSystem.IsLinux())
            {
                return int.MaxValue;
            }

            var line = File.ReadLines("/proc/self/limits").First(line => line.StartsWith("Max open files", StringComparison.Ordinal));
            return int.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3], NumberStyles.None, CultureInfo.InvariantCulture, out var files)
                ? files - OwnFiles
                : int.MaxValue;
        }
    }
}
