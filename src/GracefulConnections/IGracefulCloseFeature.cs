namespace GracefulConnections;

/// <summary>One connection's close, as its handler and the middlewares around it see it: <c>connection.Features.Get&lt;IGracefulCloseFeature&gt;()</c>.</summary>
public interface IGracefulCloseFeature
{
    /// <summary>Gets where the connection is on its way to its end. Only moves forward.</summary>
    CloseState State { get; }

    /// <summary>Gets a token that is cancelled when the connection is asked to close: finish the message in hand, then return.</summary>
    CancellationToken CloseRequested { get; }

    /// <summary>Gets a task that completes when the connection has ended. Never faults and is never cancelled.</summary>
    Task<CloseResult> Closed { get; }

    /// <summary>
    /// Asks the connection to close: cancels <see cref="CloseRequested"/> and, unless the handler is aware or the option is off, ends the input at the next
    /// message boundary. Does not wait. The first request wins; a later one, or one after the handler returned, does nothing.
    /// </summary>
    /// <param name="reason">Why: <see cref="CloseReason.HostStopping"/>, <see cref="CloseReason.Drain"/>, <see cref="CloseReason.IdleTimeout"/>,
    /// <see cref="CloseReason.MaxConnectionAge"/> or <see cref="CloseReason.Application"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="reason"/> is not a reason to ask for a close.</exception>
    void RequestClose(CloseReason reason = CloseReason.Application);
}
