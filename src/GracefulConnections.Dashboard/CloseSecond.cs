namespace GracefulConnections.Dashboard;

/// <summary>How the connections of one second ended.</summary>
/// <param name="Second">The second, counted from 1970.</param>
/// <param name="Outcomes">How many ended in each way.</param>
/// <param name="LostBytes">The bytes that were not delivered.</param>
internal sealed record CloseSecond(long Second, IReadOnlyDictionary<string, int> Outcomes, long LostBytes);
