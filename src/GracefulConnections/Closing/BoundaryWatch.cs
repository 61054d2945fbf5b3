using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// Finds the moment at which a close request may cancel the handler's read, because it is no middle of a message.
/// </summary>
internal sealed class BoundaryWatch(
    ReadPump input, TransportOutput output, ITransportEvents events, GracefulCloseOptions options)
{
    private long _lookedAt = long.MaxValue;
    private long _graceEnd;
    private int _openScopes;
    private volatile bool _usesScopes;
    private volatile bool _cancelsRead;

    /// <summary>Gets whether the handler has said that a message is in hand.</summary>
    public bool HasOpenScope => Volatile.Read(ref _openScopes) > 0;

    /// <summary>The handler has a message in hand.</summary>
    public void BeginMessage()
    {
        _usesScopes = true;
        Interleaving.Point();
        Interlocked.Increment(ref _openScopes);
    }

    /// <summary>The end of a message that <see cref="BeginMessage"/> began.</summary>
    public void EndMessage()
    {
        Interleaving.Point();
        Interlocked.Decrement(ref _openScopes);
    }

    /// <summary>From now on the read may be cancelled.</summary>
    public void Ask(CancellationToken closeRequested)
    {
        _cancelsRead = true;
        input.Ask(closeRequested);
    }

    /// <summary>Takes <see cref="Ask"/> back.</summary>
    public void Keep()
    {
        _cancelsRead = false;
        input.Keep();
    }

    /// <summary>Cancels the handler's read if this is the moment.</summary>
    /// <param name="now">The wheel's clock. Once the close was requested, a look comes several times a second.</param>
    /// <param name="sinceRequest">How long ago the close was requested.</param>
    /// <param name="reason">Who requested it.</param>
    /// <param name="isOutsideTls">Whether TLS stands between the handler and this connection.</param>
    /// <returns>When to look again, from now; <see langword="null"/> when an event will tell.</returns>
    public TimeSpan? Look(TimeSpan now, TimeSpan sinceRequest, CloseReason reason, bool isOutsideTls)
    {
        var grace = GetGrace(now);
        if (!_cancelsRead || HasOpenScope)
        {
            return null;
        }

        if (output.HasUnsent)
        {
            return CloseDeadlines.LongestPoll;
        }

        var habit = events.Activity.GetHabit(_usesScopes, isOutsideTls) with { LeavesPart = input.LeavesPart };
        var limits = new BoundaryLimits(options.QuietTime, options.MessageGap, EndsParts: !HasDeadline(reason));
        return grace > TimeSpan.Zero && BoundaryRule.MayHoldHalfMessage(habit)
            ? grace
            : input.TryRefuse(habit, limits, sinceRequest);
    }

    private static bool HasDeadline(CloseReason reason) =>
        reason is not (CloseReason.IdleTimeout or CloseReason.MaxConnectionAge or CloseReason.Application);

    // A peer that was frozen together with this process, as on a paused machine, was not silent: it gets a moment to go
    // on with its message. Of two late looks in a row the second one decides.
    private TimeSpan GetGrace(TimeSpan now)
    {
        var before = Interlocked.Exchange(ref _lookedAt, now.Ticks);
        var longest = CloseDeadlines.LongestPoll + CloseDeadlines.Grace;
        if (now.Ticks - longest.Ticks >= before && before >= Volatile.Read(ref _graceEnd))
        {
            Volatile.Write(ref _graceEnd, (now + CloseDeadlines.Grace).Ticks);
        }

        return new TimeSpan(Volatile.Read(ref _graceEnd)) - now;
    }
}
