namespace GracefulConnections.Probe.Profiles;

/// <summary>Requests that a scenario sends in one go, and what the server owes for them.</summary>
/// <param name="Bytes">What to send.</param>
/// <param name="Requests">How many requests it has, the last one not counted.</param>
/// <param name="ReplyBytes">How many bytes all replies have, by the calibration.</param>
/// <param name="LastReplyBytes">How many bytes the reply to the ending message has; 0 where there is none.</param>
internal sealed record Load(ReadOnlyMemory<byte> Bytes, int Requests, long ReplyBytes, int LastReplyBytes);
