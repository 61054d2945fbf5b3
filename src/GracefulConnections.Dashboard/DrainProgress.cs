namespace GracefulConnections.Dashboard;

/// <summary>How far a drain of the server is.</summary>
/// <param name="Since">Seconds since it began.</param>
/// <param name="Timeout">Seconds that it may take; <see langword="null"/> without a limit.</param>
/// <param name="AtStart">How many connections there were when it began.</param>
/// <param name="Left">How many are left.</param>
internal sealed record DrainProgress(double Since, double? Timeout, int AtStart, int Left);
