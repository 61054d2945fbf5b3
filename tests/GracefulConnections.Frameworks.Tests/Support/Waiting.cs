namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>Every wait has a limit.</summary>
internal static class Waiting
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);
}
