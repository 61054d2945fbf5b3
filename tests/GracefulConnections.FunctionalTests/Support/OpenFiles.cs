using System.Globalization;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>The files that this process may have open, sockets included.</summary>
internal static class OpenFiles
{
    /// <summary>Gets how many. The runtime has raised the soft limit to the hard one.</summary>
    public static long Limit
    {
        get
        {
            // "Max open files            20000                20000                files", the soft limit first.
            var line = File.ReadLines("/proc/self/limits").First(line => line.StartsWith("Max open files", StringComparison.Ordinal));
            var soft = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[3];
            return soft == "unlimited" ? long.MaxValue : long.Parse(soft, CultureInfo.InvariantCulture);
        }
    }
}
