using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Signals to processes that the tests started.</summary>
internal static class Signal
{
    private const int InterruptNumber = 2;
    private const int TerminateNumber = 15;

    /// <summary>Sends SIGINT, as Ctrl+C does.</summary>
    public static void Interrupt(Process process) => Send(process, InterruptNumber);

    /// <summary>Sends SIGTERM, as a service manager does.</summary>
    public static void Terminate(Process process) => Send(process, TerminateNumber);

    private static void Send(Process process, int signal)
    {
        if (Kill(process.Id, signal) != 0)
        {
            throw new Win32Exception();
        }
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int processId, int signal);
}
