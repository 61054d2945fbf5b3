namespace GracefulConnections;

/// <summary>
/// How far the whole server is on its way to being empty. Declared in the order entered; a phase only moves forward.
/// </summary>
public enum DrainPhase
{
    /// <summary>The server accepts and serves.</summary>
    Serving,

    /// <summary>The server still accepts and serves, and says that it is not ready any more.</summary>
    Announced,

    /// <summary>
    /// The drain steps run, then connections are asked to close; from then on a new one is asked at once.
    /// </summary>
    Draining,

    /// <summary>
    /// The time was up, or an operator asked a second time: what was left has been aborted, and its handlers are about
    /// to end.
    /// </summary>
    Aborting,

    /// <summary>The drain has ended. Final.</summary>
    Drained,
}
