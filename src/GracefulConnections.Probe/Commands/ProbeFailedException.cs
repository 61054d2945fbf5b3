namespace GracefulConnections.Probe.Commands;

/// <summary>The run cannot go on. The message is the one line that the user reads.</summary>
internal sealed class ProbeFailedException(int exitCode, string message) : Exception(message)
{
    public int ExitCode => exitCode;
}
