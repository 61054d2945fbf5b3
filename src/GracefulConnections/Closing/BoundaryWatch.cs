using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;

namespace GracefulConnections.Closing;

/// <summary>
/// Finds the moment at which a close request may cancel the handler's read, because it is no middle of a message.
/// </summary>
internal sealed class BoundaryWatch(
    ReadPump input, TransportOutput output, ITransportEvents events, GracefulCloseOptions options)
{
    private readonly BoundaryLimits _limits = new(options.QuietTime, options.MessageGap);
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
    /// <returns>When to look again, from now; <see langword="null"/> when an event will tell.</returns>
    public TimeSpan? Look(TimeSpan sinceRequest, bool isOutsideTls)
    {
        if (!_cancelsRead || HasOpenScope)
        {
            return null;
        }

        if (output.HasUnsent)
        {
            return CloseDeadlines.LongestPoll;
        }

        return input.TryRefuse(events.Activity.GetHabit(_usesScopes, isOutsideTls), _limits, sinceRequest);
    }
}
