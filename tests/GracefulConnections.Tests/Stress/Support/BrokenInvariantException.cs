namespace GracefulConnections.Tests.Stress.Support;

/// <summary>An invariant of the close does not hold. The message says which.</summary>
internal sealed class BrokenInvariantException(string message, Exception? inner = null) : Exception(message, inner)
{
    public static void ThrowIf(bool broken, string message)
    {
        if (broken)
        {
            throw new BrokenInvariantException(message);
        }
    }
}
