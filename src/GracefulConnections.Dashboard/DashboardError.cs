namespace GracefulConnections.Dashboard;

/// <summary>Why a request was refused.</summary>
/// <param name="Error">The value, the rule and what to do.</param>
internal sealed record DashboardError(string Error);
