using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Signals to processes that the tests started.</summary>
internal static class Signal
{
    private const int HangUpNumber = 1;
    private const int InterruptNumber = 2;
    private const int KillNumber = 9;
    private const int TerminateNumber = 15;
    private const int ContinueNumber = 18;
    private const int StopNumber = 19;

    /// <summary>Sends SIGINT, as Ctrl+C does.</summary>
    public static void Interrupt(Process process) => Send(process, InterruptNumber);

    /// <summary>Sends SIGINT to the process group that the process leads, as a terminal does at Ctrl+C.</summary>
    public static void InterruptGroup(Process leader) => Send(-leader.Id, InterruptNumber);

    /// <summary>Sends SIGTERM, as a service manager does.</summary>
    public static void Terminate(Process process) => Send(process, TerminateNumber);

    /// <summary>Sends SIGHUP, which service managers send for a reload.</summary>
    public static void HangUp(Process process) => Send(process, HangUpNumber);

    /// <summary>Sends SIGHUP to a process that a process of the tests started.</summary>
    public static void HangUp(int processId) => Send(processId, HangUpNumber);

    /// <summary>Sends SIGTERM to a process that a process of the tests started.</summary>
    public static void Terminate(int processId) => Send(processId, TerminateNumber);

    /// <summary>Sends SIGKILL to a process that a process of the tests started.</summary>
    public static void Kill(int processId) => Send(processId, KillNumber);

    /// <summary>Sends SIGSTOP: the process stands still until it is sent SIGCONT.</summary>
    public static void Stop(Process process) => Send(process, StopNumber);

    /// <summary>Sends SIGCONT.</summary>
    public static void Continue(Process process) => Send(process, ContinueNumber);

    private static void Send(Process process, int signal) => Send(process.Id, signal);

    private static void Send(int target, int signal)
    {
        if (Kill(target, signal) != 0)
        {
            throw new Win32Exception();
        }
    }

    [DllImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int Kill(int processId, int signal);
}
