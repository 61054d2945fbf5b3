namespace GracefulConnections.Probe.Judging;

/// <summary>What a scenario found.</summary>
internal enum Verdict
{
    /// <summary>The server did what a server should.</summary>
    Pass,

    /// <summary>The server did not, for sure.</summary>
    Fail,

    /// <summary>The scenario does not apply to this server.</summary>
    Skipped,

    /// <summary>The probe cannot be sure. The reason says why.</summary>
    Error,
}
