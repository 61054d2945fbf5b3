namespace GracefulConnections.Dashboard;

/// <summary>A part of the list of connections.</summary>
/// <param name="Total">How many connections the server has.</param>
/// <param name="Matching">How many of them the filter chooses.</param>
/// <param name="Skip">How many of those come before this part.</param>
/// <param name="Connections">This part.</param>
internal sealed record ConnectionPage(int Total, int Matching, int Skip, IReadOnlyList<ConnectionRow> Connections);
