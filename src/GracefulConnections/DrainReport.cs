using System.Globalization;
using GracefulConnections.Diagnostics;

namespace GracefulConnections;

/// <summary>How a drain went.</summary>
public sealed record DrainReport
{
    /// <summary>
    /// Gets the time from the first close request to the end; for the whole server, from
    /// <see cref="IDrainCoordinator.DrainStarted"/>.
    /// </summary>
    public required TimeSpan Duration { get; init; }

    /// <summary>
    /// Gets the number of connections that were drained: those that were there, and those that arrived while the whole
    /// server drained.
    /// </summary>
    public required int ConnectionCount { get; init; }

    /// <summary>Gets how many connections ended in which way. Outcomes that no connection had are not in it.</summary>
    public required IReadOnlyDictionary<CloseOutcome, int> Outcomes { get; init; }

    /// <summary>Gets the number of bytes that peers sent and no handler consumed.</summary>
    public required long DiscardedBytes { get; init; }

    /// <summary>
    /// Gets the number of bytes that handlers wrote and peers had not acknowledged, as far as it is known: the sum of
    /// <see cref="CloseResult.UnacknowledgedBytes"/>, and as that an upper bound of what is missing.
    /// </summary>
    public required long UnacknowledgedBytes { get; init; }

    /// <summary>
    /// Gets the number of connections in <see cref="Aborted"/> whose handler was in the middle of a message, as far as
    /// it is known. What such a handler had not written yet is in no count of bytes.
    /// </summary>
    public required int UnansweredCount { get; init; }

    /// <summary>
    /// Gets the connections that the drain aborted because their time was up, as they were right before, oldest first.
    /// </summary>
    public required IReadOnlyList<TrackedConnectionInfo> Aborted { get; init; }

    /// <summary>
    /// Gets the number of connections in <see cref="Aborted"/> whose handler had not returned half a second later. They
    /// are counted among the <see cref="Outcomes"/>.
    /// </summary>
    public required int UnendedHandlerCount { get; init; }

    /// <summary>
    /// Gets the number of connections that are known to have lost nothing: <see cref="CloseOutcome.Graceful"/> and
    /// <see cref="CloseOutcome.Acknowledged"/>. A limit such as <see cref="CloseOutcome.LingerTimedOut"/> may have lost
    /// nothing either, and is not counted.
    /// </summary>
    public int DeliveredCount =>
        Outcomes.GetValueOrDefault(CloseOutcome.Graceful) + Outcomes.GetValueOrDefault(CloseOutcome.Acknowledged);

    /// <summary>
    /// Gets the number of connections that were ended before their output was delivered, as far as anybody knows, and
    /// did not tell how much is missing.
    /// </summary>
    internal int UnknownCount { get; init; }

    /// <summary>Says it in one line, for a person.</summary>
    /// <returns>
    /// For example <c>3 connections in 1.5 s (2 Graceful, 1 Aborted): 10 bytes unacknowledged, 1 message
    /// unanswered</c>.
    /// </returns>
    public override string ToString()
    {
        var outcomes = Outcomes.Count > 0 ? $" ({Holders.Count(Outcomes)})" : "";
        var unended = UnendedHandlerCount > 0 ? $", {Noun.Handlers.Count(UnendedHandlerCount)} not ended" : "";
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Noun.Connections.Count(ConnectionCount)} in {Duration.TotalSeconds:0.0##} s{outcomes}: "
            + $"{Noun.Bytes.Count(UnacknowledgedBytes)} unacknowledged, "
            + $"{Noun.Messages.Count(UnansweredCount)} unanswered{unended}");
    }

    /// <summary>Counts how connections ended.</summary>
    /// <param name="duration">How long the drain took.</param>
    /// <param name="ends">Each result, with the connection as it was right before the drain aborted it.</param>
    /// <param name="unendedHandlerCount">How many of the handlers go on.</param>
    internal static DrainReport Create(
        TimeSpan duration,
        IReadOnlyCollection<(CloseResult Result, TrackedConnectionInfo? Aborted)> ends,
        int unendedHandlerCount)
    {
        var results = ends.Select(static end => end.Result);
        TrackedConnectionInfo[] aborted =
        [
            .. ends.Select(static end => end.Aborted)
                .OfType<TrackedConnectionInfo>()
                .OrderByDescending(static info => info.Age),
        ];
        return new DrainReport
        {
            Duration = duration,
            ConnectionCount = ends.Count,
            Outcomes = results.CountBy(static result => result.Outcome).ToDictionary(),
            DiscardedBytes = results.Sum(static result => result.DiscardedBytes),
            UnacknowledgedBytes = results.Sum(static result => result.UnacknowledgedBytes ?? 0),
            UnansweredCount = aborted.Count(static info => info.Activity == ConnectionActivity.Busy),
            Aborted = aborted,
            UnendedHandlerCount = unendedHandlerCount,
            UnknownCount = results.Count(static result =>
                result.UnacknowledgedBytes is null
                && result.Outcome
                    is CloseOutcome.FlushTimedOut or CloseOutcome.CloseTimedOut or CloseOutcome.Aborted),
        };
    }
}
