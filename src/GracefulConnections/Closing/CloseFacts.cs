using System.Runtime.InteropServices;

namespace GracefulConnections.Closing;

/// <summary>
/// Everything that is known of one connection's close. <see cref="CloseMachine"/> alone makes new ones.
/// </summary>
/// <remarks>
/// Each connection has one, and each decision copies it. So it is kept small: what may be missing has no flag beside
/// it, and of the result only what is not here anyway is stored.
/// </remarks>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct CloseFacts
{
    private readonly byte _state;
    private readonly byte _reason;
    private readonly byte _outcome;
    private readonly ushort _poll; // At most CloseDeadlines.LongestPoll.

    // One field for what is never needed at the same time.
    private readonly long _sentAtLookOrDeliveredAtOrDuration;
    private readonly long _progressOrDiscardedBytes;

    // Complements, so that zero stands for a value that is missing.
    private readonly long _acknowledgedAt;
    private readonly long _goodbyeSince;
    private readonly long _graceEnd;
    private readonly long _lingerCap;
    private readonly long _unacknowledgedBytes;

    /// <summary>Gets the facts of a connection that has just come.</summary>
    public static readonly CloseFacts Initial = new()
    {
        Poll = CloseDeadlines.ShortestPoll,
        DueAt = TimeSpan.MaxValue,
        DiscardLimit = long.MaxValue,
    };

    public CloseState State
    {
        get => (CloseState)_state;
        init => _state = (byte)value;
    }

    /// <summary>Gets the first cause; <see cref="CloseReason.None"/> while there is none.</summary>
    public CloseReason Reason
    {
        get => (CloseReason)_reason;
        init => _reason = (byte)value;
    }

    /// <summary>Gets how the connection ended, once it has. Its reason is <see cref="Reason"/>.</summary>
    public CloseResult Result
    {
        get => new()
        {
            Reason = Reason,
            Outcome = (CloseOutcome)_outcome,
            Duration = new TimeSpan(_sentAtLookOrDeliveredAtOrDuration),
            DiscardedBytes = _progressOrDiscardedBytes,
            UnacknowledgedBytes = UnacknowledgedBytes,
        };
        init
        {
            _outcome = (byte)value.Outcome;
            _sentAtLookOrDeliveredAtOrDuration = value.Duration.Ticks;
            _progressOrDiscardedBytes = value.DiscardedBytes;
            _unacknowledgedBytes = Keep(value.UnacknowledgedBytes);
        }
    }

    public bool IsRequested { get; init; }

    public bool HandlerReturned { get; init; }

    /// <summary>Gets whether a flush was pending at the last look.</summary>
    public bool WriteBlocked { get; init; }

    /// <summary>Gets whether somebody waits until no flush is pending.</summary>
    public bool AwaitsFlush { get; init; }

    /// <summary>Gets whether our FIN was sent behind all output.</summary>
    public bool FinSent { get; init; }

    /// <summary>Gets whether all output was sent, and no FIN follows.</summary>
    public bool AllSent { get; init; }

    public bool PeerFin { get; init; }

    /// <summary>Gets whether an RST follows the output, because a part is known to be missing.</summary>
    public bool EndsByReset { get; init; }

    /// <summary>Gets whether the server closes behind the output.</summary>
    public bool EndsByServer { get; init; }

    /// <summary>Gets whether the close inside of TLS, if any, was graceful.</summary>
    public bool InnerWasGraceful { get; init; }

    /// <summary>Gets whether somebody else ends the transport, so that an abort must not.</summary>
    public bool LeavesTransport { get; init; }

    public TimeSpan RequestedAt { get; init; }

    public TimeSpan ClosingSince { get; init; }

    /// <summary>Gets when something of the output moved last.</summary>
    public TimeSpan ProgressAt { get; init; }

    /// <summary>Gets when everything was delivered, while lingering.</summary>
    public TimeSpan DeliveredAt
    {
        get => new(_sentAtLookOrDeliveredAtOrDuration);
        init => _sentAtLookOrDeliveredAtOrDuration = value.Ticks;
    }

    /// <summary>Gets when the peer was heard last, while lingering.</summary>
    public TimeSpan LastByteAt { get; init; }

    public TimeSpan? AcknowledgedAt
    {
        get => Time(_acknowledgedAt);
        init => _acknowledgedAt = Keep(value?.Ticks);
    }

    public TimeSpan? GoodbyeSince
    {
        get => Time(_goodbyeSince);
        init => _goodbyeSince = Keep(value?.Ticks);
    }

    /// <summary>Gets until when a peer that only seems to be silent gets more time.</summary>
    public TimeSpan? GraceEnd
    {
        get => Time(_graceEnd);
        init => _graceEnd = Keep(value?.Ticks);
    }

    /// <summary>Gets the longest silence that a drain accepts; <see langword="null"/> without a drain.</summary>
    public TimeSpan? LingerCap
    {
        get => Time(_lingerCap);
        init => _lingerCap = Keep(value?.Ticks);
    }

    /// <summary>Gets when the next look was due, as of the last one.</summary>
    public TimeSpan DueAt { get; init; }

    /// <summary>Gets the time until the next look at the delivery, in whole milliseconds.</summary>
    public TimeSpan Poll
    {
        get => TimeSpan.FromMilliseconds((double)_poll);
        init => _poll = (ushort)value.TotalMilliseconds;
    }

    /// <summary>Gets what the last look at the delivery told, before the end: a change is progress.</summary>
    public long Progress
    {
        get => _progressOrDiscardedBytes;
        init => _progressOrDiscardedBytes = value;
    }

    /// <summary>Gets what had been sent at the last look, before the linger.</summary>
    public long SentAtLook
    {
        get => _sentAtLookOrDeliveredAtOrDuration;
        init => _sentAtLookOrDeliveredAtOrDuration = value;
    }

    /// <summary>
    /// Gets the most bytes to discard, once our FIN is sent: what came before it does not count, and was added then.
    /// </summary>
    public long DiscardLimit { get; init; }

    public long InnerDiscardedBytes { get; init; }

    /// <summary>
    /// Gets what was unacknowledged when everything was delivered, or at the end; <see langword="null"/> if nobody can
    /// tell.
    /// </summary>
    public long? UnacknowledgedBytes
    {
        get => _unacknowledgedBytes == 0 ? null : ~_unacknowledgedBytes;
        init => _unacknowledgedBytes = Keep(value);
    }

    /// <summary>Gets whether the connection has ended.</summary>
    public bool IsFinal => State is CloseState.Closed or CloseState.Aborted;

    /// <summary>Returns whether the peer has sent too much after our FIN.</summary>
    public bool IsOverLingerBytes(long discardedBytes) => FinSent && discardedBytes > DiscardLimit;

    private static long Keep(long? value) => value is { } known ? ~known : 0;

    private static TimeSpan? Time(long kept) => kept == 0 ? null : new TimeSpan(~kept);
}
