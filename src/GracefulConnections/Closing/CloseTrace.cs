using System.Diagnostics;

namespace GracefulConnections.Closing;

/// <summary>Which pairs of state and event a test has reached. Debug builds only.</summary>
internal static class CloseTrace
{
    private static readonly AsyncLocal<Action<CloseState, CloseEvent>?> OnPair = new();

    /// <summary>Sets who is told of each pair, on this thread and on what it starts.</summary>
    public static void Set(Action<CloseState, CloseEvent>? onPair) => OnPair.Value = onPair;

    [Conditional("DEBUG")]
    public static void Note(CloseState state, CloseEvent e) => OnPair.Value?.Invoke(state, e);
}
