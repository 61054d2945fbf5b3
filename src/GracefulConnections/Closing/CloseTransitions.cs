using System.Diagnostics;

namespace GracefulConnections.Closing;

/// <summary>The close as a table: which event leads from which state to which, and how the connection ended by it.</summary>
internal static class CloseTransitions
{
    public static bool IsFinal(CloseState state) => state is CloseState.Closed or CloseState.Aborted;

    /// <summary>Returns the state after <paramref name="e"/>. A final state is final: whatever comes late changes nothing.</summary>
    /// <param name="state">The state before.</param>
    /// <param name="e">What happened.</param>
    /// <param name="isInKernel">Whether all output and our FIN are in the kernel. Then a limit closes the descriptor and the kernel
    /// goes on delivering, as it does after every close; else what is still here would look delivered, so a limit is RST.</param>
    /// <exception cref="UnreachableException">The event cannot happen in that state.</exception>
    public static CloseState Next(CloseState state, CloseEvent e, bool isInKernel = false) => (state, e) switch
    {
        (CloseState.Closed or CloseState.Aborted, _) => state,

        (CloseState.Open, CloseEvent.OutputCompleted) => CloseState.HalfClosed,
        (CloseState.Open or CloseState.HalfClosed, CloseEvent.HandlerReturned) => CloseState.Flushing,
        (CloseState.Flushing, CloseEvent.Delivered) => CloseState.Lingering,

        // Before delivery the peer's FIN is remembered: it ends the input, not the close.
        (CloseState.Open or CloseState.HalfClosed or CloseState.Flushing, CloseEvent.PeerFin) => state,
        (CloseState.Lingering, CloseEvent.PeerFin or CloseEvent.QuietAfterDelivery) => CloseState.Closed,
        (CloseState.Flushing, CloseEvent.LeftToServer) => CloseState.Closed,

        // The server ended the connection by FIN itself.
        (_, CloseEvent.ClosedByServer) => CloseState.Closed,

        // Before the handler returned, a stall only counts once the connection was asked to close.
        (CloseState.Open or CloseState.HalfClosed, CloseEvent.FlushStalled) => CloseState.Aborted,
        (CloseState.Flushing or CloseState.Lingering, _) when IsLimit(e) => isInKernel ? CloseState.Closed : CloseState.Aborted,
        (_, CloseEvent.PeerReset or CloseEvent.Abort) => CloseState.Aborted,

        _ => throw new UnreachableException($"{e} cannot happen in {state}."),
    };

    /// <summary>Returns how a connection ended that <paramref name="e"/> brought to a final state.</summary>
    /// <exception cref="UnreachableException">The event leads to no final state.</exception>
    public static CloseOutcome Outcome(CloseEvent e) => e switch
    {
        CloseEvent.PeerFin or CloseEvent.ClosedByServer => CloseOutcome.Graceful,
        CloseEvent.QuietAfterDelivery => CloseOutcome.Acknowledged,
        CloseEvent.LeftToServer => CloseOutcome.LeftToServer,
        CloseEvent.FlushStalled => CloseOutcome.FlushTimedOut,
        CloseEvent.LingerSilent => CloseOutcome.LingerTimedOut,
        CloseEvent.LingerLimitExceeded => CloseOutcome.LingerLimitExceeded,
        CloseEvent.LingerEvicted => CloseOutcome.LingerEvicted,
        CloseEvent.CloseTimeout => CloseOutcome.CloseTimedOut,
        CloseEvent.PeerReset => CloseOutcome.PeerReset,
        CloseEvent.Abort => CloseOutcome.Aborted,
        _ => throw new UnreachableException($"{e} ends no connection."),
    };

    private static bool IsLimit(CloseEvent e) => e is CloseEvent.FlushStalled
        or CloseEvent.LingerSilent
        or CloseEvent.LingerLimitExceeded
        or CloseEvent.LingerEvicted
        or CloseEvent.CloseTimeout;
}
