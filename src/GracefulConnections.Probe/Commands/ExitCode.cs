namespace GracefulConnections.Probe.Commands;

/// <summary>The process's exit codes, which scripts rely on.</summary>
internal static class ExitCode
{
    public const int NothingFailed = 0;
    public const int Failed = 1;
    public const int Usage = 2;

    /// <summary>
    /// The server could not be reached, does not speak the profile, or stopped to serve in the middle.
    /// </summary>
    public const int Unreachable = 3;
}
