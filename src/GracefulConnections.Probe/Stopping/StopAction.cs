using System.Diagnostics;
using System.Runtime.InteropServices;
using GracefulConnections.Probe.Commands;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Stops or restarts the server, as the user said how.</summary>
/// <param name="Pid">The process to send SIGTERM to; <see langword="null"/> if a command does it.</param>
/// <param name="Command">The command for <c>/bin/sh</c>.</param>
internal sealed partial record StopAction(int? Pid, string? Command)
{
    private const int Sigterm = 15;

    /// <summary>Gets whether the process is known, so that its exit can be seen.</summary>
    public bool KnowsProcess => Pid is not null;

    /// <summary>
    /// Begins the stop. A command is not waited for, because it may wait for the server's exit itself.
    /// </summary>
    /// <returns>The command's process; <see langword="null"/> for a signal.</returns>
    /// <exception cref="ProbeFailedException">The signal could not be sent, or the command not be started.</exception>
    public Process? Begin()
    {
        if (Pid is { } pid)
        {
            return Kill(pid, Sigterm) == 0
                ? null
                : throw new ProbeFailedException(
                    ExitCode.Usage,
                        $"SIGTERM could not be sent to --pid {pid}: {Marshal.GetLastPInvokeErrorMessage()}.");
        }

        // What the command prints belongs to the user, and not into a report on standard output.
        var start = new ProcessStartInfo("/bin/sh") { ArgumentList = { "-c", $"exec 1>&2\n{Command}" } };
        return Process.Start(start);
    }

    /// <summary>Looks whether the process is gone. A zombie is: nobody has fetched its exit code yet.</summary>
    public static bool HasExited(int pid)
    {
        if (Kill(pid, 0) != 0)
        {
            return true;
        }

        try
        {
            var stat = File.ReadAllText($"/proc/{pid}/stat"); // "123 (name) S ...", and the name may hold anything.
            return stat[(stat.LastIndexOf(')') + 1)..].TrimStart().StartsWith('Z');
        }
        catch (IOException)
        {
            return OperatingSystem.IsLinux(); // Gone since the line above; other systems have no such file.
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
