namespace GracefulConnections.Dashboard;

/// <summary>A drain has begun.</summary>
/// <param name="Connections">How many connections it asks to close.</param>
internal sealed record DrainAccepted(int Connections);
