namespace GracefulConnections.Probe.Wire;

/// <summary>One arrow of the time-sequence picture.</summary>
/// <param name="Ms">When it began, in milliseconds since the scenario did.</param>
/// <param name="UntilMs">When it ended: data that follows without a pause is one event.</param>
/// <param name="Connection">Which of the scenario's connections, from 1 on.</param>
/// <param name="FromServer">Whether the server did it.</param>
/// <param name="Kind">What was done.</param>
/// <param name="Bytes">How many bytes of the application were carried.</param>
/// <param name="Note">What a reader should know about it.</param>
internal sealed record WireEvent(
    double Ms, double UntilMs, int Connection, bool FromServer, WireKind Kind, long Bytes, string? Note);
