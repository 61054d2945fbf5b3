using System.Diagnostics;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Points between two steps of a thread where another thread may come in between. A test delays threads there, so that
/// rare orders become common. Calls exist in Debug builds only.
/// </summary>
internal static class Interleaving
{
    private static Action? _onPoint;

    /// <summary>Sets what every thread does at each point; <see langword="null"/> for nothing.</summary>
    public static void Set(Action? onPoint) => Volatile.Write(ref _onPoint, onPoint);

    /// <summary>A point. It stands before a lock, an exchange or an await, and never where a lock is held.</summary>
    [Conditional("DEBUG")]
    public static void Point() => Volatile.Read(ref _onPoint)?.Invoke();
}
