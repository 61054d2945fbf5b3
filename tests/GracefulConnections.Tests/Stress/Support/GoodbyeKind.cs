namespace GracefulConnections.Tests.Stress.Support;

internal enum GoodbyeKind
{
    None,
    Writes,
    Throws,
    WaitsForItsToken,
}
