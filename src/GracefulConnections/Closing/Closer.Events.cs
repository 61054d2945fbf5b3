using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Closing;

/// <content>What the two directions and the wheel tell, and what is seen of them.</content>
internal sealed partial class Closer
{
    /// <summary>Gets whether code below may block that nobody knows.</summary>
    private bool IsForeign => Input.Kind != InputKind.Transport || !Output.SeesAcknowledgements;

    /// <summary>
    /// Gets whether the server tells the peer of a fault, as on stock. Inside of TLS nobody says close_notify behind
    /// one. Over HTTP, where connections have transfer formats, the peer reads it, such as by the status 1011 of a
    /// WebSocket, unless the server's writer was completed before.
    /// </summary>
    public bool IsFaultTheServersToTell => Output.CanHalfClose
        && (_isInsideTls || connection.Find<ITransferFormatFeature>() is not null);

    public void OnOutputCompleted() => Raise(CloseEvent.OutputCompleted, default);

    public LeftOver OnOutputFaulted(Exception exception)
    {
        var isWhole = Input.End.EndHanded || (Input.IsRefused && !Input.IsCutOff);

        // As behind a handler that throws.
        var end = IsFaultTheServersToTell && !scope.Options.AbortOnHandlerFault && !HasOpenScope && !Input.IsCutOff
            ? LeftOver.SendThenClose
            : LeftOver.SendThenReset;
        var effects = Decide(CloseEvent.OutputFaulted, new CloseObservation { IsWhole = isWhole, LeftOver = end });
        if (effects.HasFlag(CloseEffects.SendFin))
        {
            return LeftOver.Send;
        }

        NoteFault(exception);
        Log.OutputFaulted(scope.Logger, connection.ConnectionId, exception);
        Carry(effects);
        return end;
    }

    // Not when it was sent: a peer answers at once, and what it sent would count as sent before.
    public void OnFinSending() => Raise(CloseEvent.FinSending, See());

    public void OnFinSent()
    {
        Raise(CloseEvent.FinSent, See());
        KeepSocket();
        TellOver();
    }

    public void OnAllSent() => Raise(CloseEvent.AllSent, default);

    // The reader that tells us has nothing left to do, and runs where the handler would run: the connection may go on
    // to its end right there.
    public void OnPeerFin() => Raise(CloseEvent.PeerFin, See(), endHere: true);

    public void OnBytesDiscarded() => Raise(CloseEvent.BytesDiscarded, See());

    public void OnFaulted(Exception exception)
    {
        var level = Facts.IsFinal ? LogLevel.Trace : LogLevel.Debug; // After an abort of our own it says nothing new.
        Log.TransportFaulted(scope.Logger, connection.ConnectionId, level, exception);
        Raise(TransportFault.IsReset(exception) ? CloseEvent.PeerReset : CloseEvent.Abort, SeeEnd());
    }

    public void OnWaiting()
    {
        var next = LookAtBoundary(Now);
        if (next < TimeSpan.MaxValue)
        {
            scope.Wheel.Watch(this, next);
        }
    }

    public override TimeSpan? Look(TimeSpan now)
    {
        var boundary = LookAtBoundary(now);
        var next = LookAtDelivery(now, isScheduled: true);
        return next is null || next < boundary ? next : boundary;
    }

    public override void OnLookFailed(Exception exception)
    {
        Log.LookFailed(scope.Logger, connection.ConnectionId, exception);
        Raise(CloseEvent.Abort, default);
    }

    private void TellOver()
    {
        if (Volatile.Read(ref _rare) is { Over: not null } rare
            && Facts is { IsFinal: true } or { HandlerReturned: true, FinSent: true })
        {
            Guard(static (_, over) => over?.Invoke(), Interlocked.Exchange(ref rare.Over, null));
        }
    }

    /// <summary>Cancels the handler's read if a close was requested and this is no middle of a message.</summary>
    /// <returns>When to look again.</returns>
    private TimeSpan LookAtBoundary(TimeSpan now)
    {
        var facts = Facts;
        return facts is { IsRequested: true, HandlerReturned: false, State: CloseState.Open or CloseState.HalfClosed }
            && BoundaryNow?.Look(now, now - facts.RequestedAt, facts.Reason, IsAroundTls) is { } wait
            ? TimerWheel.Add(now, wait)
            : TimeSpan.MaxValue;
    }

    /// <summary>Looks how far the output is and which limit is reached.</summary>
    /// <returns>When to look again; <see langword="null"/> when the connection has ended.</returns>
    private TimeSpan? LookAtDelivery(TimeSpan now, bool isScheduled, bool endHere = false)
    {
        var facts = Facts;
        if (facts.IsFinal)
        {
            return null;
        }

        KeepSocket(); // TLS below may have passed on only now what it was given.
        var seen = See();
        if (facts.State == CloseState.Lingering)
        {
            var isBehind = Input.IsBehind;
            seen = seen with { IsBehind = isBehind, HasPeerFin = isBehind && Input.HasPeerFin };
        }
        else if (facts.HandlerReturned || facts.EndsByReset || seen.IsWriteBlocked)
        {
            seen = seen with { Delivery = Output.GetDelivery() };
        }

        CloseEffects effects;
        TimeSpan next;
        bool isFinal;
        Interleaving.Point();
        lock (this)
        {
            var progress = Progress_NeedsLock;
            (progress.Facts, effects, next) =
                CloseMachine.Look(progress.Facts, scope.Options, seen, now, isScheduled);
            isFinal = progress.Facts.IsFinal;
        }

        Carry(effects, endHere);
        return isFinal ? null : next;
    }

    // What costs no system call.
    private CloseObservation See() => new()
    {
        CanHalfClose = Output.CanHalfClose,
        IsFinInKernel = Output.IsFinInKernel,
        SeesAcknowledgements = Output.SeesAcknowledgements,
        IsLookCostly = Output.IsLookCostly,
        IsWriteBlocked = Output.IsWriteBlocked,
        SentBytes = Output.SentBytes,
        DiscardedBytes = Input.DiscardedBytes,
        IsInputReset = Input.End.ResetSeen || Input.End.EndedByReset,
    };

    // For an event that may end the connection: what is not delivered is asked for, unless it is known.
    private CloseObservation SeeEnd() =>
        State < CloseState.Lingering ? See() with { Delivery = Output.GetDelivery() } : See();

    private CloseEffects Decide(CloseEvent e, in CloseObservation seen)
    {
        Interleaving.Point();
        lock (this)
        {
            var progress = Progress_NeedsLock;
            (progress.Facts, var effects) = CloseMachine.On(progress.Facts, e, seen, Now);
            return effects;
        }
    }

    private void Raise(CloseEvent e, in CloseObservation seen, bool endHere = false) => Carry(Decide(e, seen), endHere);
}
