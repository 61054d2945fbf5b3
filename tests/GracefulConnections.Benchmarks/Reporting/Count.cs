namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>How often something succeeded that must succeed every time.</summary>
/// <param name="Name">What was tried.</param>
/// <param name="Tried">How often.</param>
/// <param name="Stock">How often it succeeded on stock.</param>
/// <param name="Ours">How often it succeeded on ours.</param>
internal sealed record Count(string Name, int Tried, int Stock, int Ours);
