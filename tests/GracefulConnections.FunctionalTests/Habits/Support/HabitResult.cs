using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Habits.Support;

/// <summary>What came of a play.</summary>
internal sealed record HabitResult
{
    public required bool IsStock { get; init; }

    /// <summary>Gets what the handler executed or stored.</summary>
    public required IReadOnlyList<string> Executed { get; init; }

    /// <summary>Gets what the peer received.</summary>
    public required byte[] Received { get; init; }

    /// <summary>Gets how the peer's input ended; <see langword="null"/> if it did not.</summary>
    public required PeerSaw? End { get; init; }

    /// <summary>Gets whether the peer could send everything.</summary>
    public required bool SentAll { get; init; }

    /// <summary>Gets what escaped the handler.</summary>
    public required Exception? Fault { get; init; }

    /// <summary>Gets whether <see cref="Fault"/> is a read that a close request cancelled.</summary>
    public required bool IsReadCancelled { get; init; }

    /// <summary>Gets how the connection ended; <see langword="null"/> on stock.</summary>
    public required CloseResult? Close { get; init; }

    /// <summary>Gets the log's lines of the level Error.</summary>
    public required IReadOnlyList<string> Errors { get; init; }

    public string Text => Encoding.ASCII.GetString(Received);

    public override string ToString() =>
        $"{(IsStock ? "stock" : "ours ")}: executed [{Shorten(string.Join(" | ", Executed))}], "
        + $"received {Received.Length} [{Shorten(Text.Replace("\n", "\\n", StringComparison.Ordinal))}], "
        + $"end {End?.ToString() ?? "none"}, sent all {SentAll}, handler {Fault?.GetType().Name ?? "returned"}"
        + $"{(IsReadCancelled ? " (read cancelled)" : "")}, {Close?.Reason} {Close?.Outcome} "
        + $"{Close?.UnacknowledgedBytes}, errors {Errors.Count} [{Shorten(string.Join(" | ", Errors))}]";

    private static string Shorten(string text) => text.Length <= 200 ? text : $"{text[..200]}...";
}
