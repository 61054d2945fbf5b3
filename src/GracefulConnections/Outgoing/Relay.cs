using GracefulConnections.Closing;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Outgoing;

/// <summary>
/// Relays between two connections, each direction on its own. What happens on one happens on the other: FIN becomes
/// FIN, behind everything that was relayed, and a reset becomes a reset.
/// </summary>
internal sealed class Relay : WheelTarget
{
    // How often a send that is held up makes us look whether the sender is still there.
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan SoonLook = TimeSpan.FromMilliseconds(5);

    private readonly RelayLeg _peer;
    private readonly RelayLeg _upstream;
    private readonly RelayOptions _options;
    private readonly CloseScope _scope;
    private long _bytesToUpstream;
    private long _bytesFromUpstream;
    private (long ToUpstream, long FromUpstream) _heldUp;
    private volatile bool _isUnanswered; // The last bytes that were relayed went to the upstream.
    private volatile bool _isOver;
    private int _outcome;

    private Relay(RelayLeg peer, RelayLeg upstream, RelayOptions options)
    {
        (_peer, _upstream, _options) = (peer, upstream, options);
        _scope = peer.Graceful.Scope;
    }

    /// <summary>Relays, and closes those of the two gracefully that nobody else closes so.</summary>
    public static async Task<RelayResult> RunAsync(
        ConnectionContext connection,
        ConnectionContext upstream,
        RelayOptions options,
        CancellationToken cancellationToken)
    {
        var feature = connection.Features.Get<IGracefulCloseFeature>();
        var scope = (feature as GracefulConnection)?.Scope ?? CloseScope.Default;
        RelayResult result = default;
        await WithLegAsync(connection, scope, peer => WithLegAsync(upstream, scope.Upstream, async up =>
            result = await new Relay(peer, up, options).RunAsync(cancellationToken).ConfigureAwait(false)))
            .ConfigureAwait(false);
        return result;
    }

    public override TimeSpan? Look(TimeSpan now)
    {
        if (_isOver)
        {
            return null;
        }

        var heldUp = (_upstream.HeldUpSend, _peer.HeldUpSend);
        NoticeReset(_peer, _upstream.IsHalfClosed, heldUp.Item1, _heldUp.ToUpstream);
        NoticeReset(_upstream, _peer.IsHalfClosed, heldUp.Item2, _heldUp.FromUpstream);
        _heldUp = heldUp;
        EndBehind(_peer, _upstream, now);
        EndBehind(_upstream, _peer, now);
        return NextLook(now);
    }

    public override void OnLookFailed(Exception exception) => Reset(_upstream, RelayOutcome.Aborted);

    private static async Task WithLegAsync(ConnectionContext connection, CloseScope scope, Func<RelayLeg, Task> use)
    {
        if (connection.Features.Get<IGracefulCloseFeature>() is GracefulConnection graceful)
        {
            await use(new RelayLeg(connection, graceful)).ConfigureAwait(false);
            return;
        }

        await GracefulShutdownMiddleware.RunAsync(
            connection,
            scope,
            (inside, _) => use(new RelayLeg(
                inside, (GracefulConnection)inside.Features.Get<IGracefulCloseFeature>()!))).ConfigureAwait(false);
    }

    // At the same moments as every other relay, so that all of them together wake the timer four times a second.
    private static TimeSpan NextLook(TimeSpan now) => LookInterval * (Math.Floor(now / LookInterval) + 1);

    // Behind its FIN, and while the receiver does not take what was sent, nothing is read from the sender, so that
    // nothing tells of its reset.
    private static void NoticeReset(RelayLeg sender, bool hasEnded, long heldUp, long heldUpBefore)
    {
        if (hasEnded || (heldUp != 0 && heldUp == heldUpBefore))
        {
            sender.Graceful.NoticeReset();
        }
    }

    // One side was reset, and what it had sent before is still on its way to the other one, perhaps with its FIN.
    private void EndBehind(RelayLeg gone, RelayLeg other, TimeSpan now)
    {
        if (!gone.IsGone || other.IsGone)
        {
            return;
        }

        var output = other.Graceful.Output;
        var delivery = output.GetDelivery();
        if (!other.IsHalfClosed || !delivery.IsDelivered)
        {
            var since = other.NoteProgress(delivery.Progress, now);
            if (now >= TimerWheel.Add(since, other.Graceful.Scope.Options.FlushStallTimeout))
            {
                Reset(other, ResetOf(gone)); // It takes nothing.
            }
        }
        else if (output.SeesAcknowledgements)
        {
            Reset(other, ResetOf(gone)); // It has everything.
        }
        else
        {
            other.Leave(); // It may not have everything. Its close waits for its FIN.
        }
    }

    private async Task<RelayResult> RunAsync(CancellationToken cancellationToken)
    {
        var began = _scope.Time.GetTimestamp();
        _options.Counters?.Start();

        // A limit of the upstream's connection is for both.
        await using var limit = _upstream.Graceful.CloseRequested.UnsafeRegister(
            static relay => ((Relay)relay!)._peer.Graceful.RequestClose(), this).ConfigureAwait(false);
        await using var request = cancellationToken.UnsafeRegister(
            static relay => ((Relay)relay!)._peer.Graceful.RequestClose(), this).ConfigureAwait(false);

        // A direction that waits for one side hears nothing of the other's end: the next read tells what it is.
        await using var peerOver = _peer.InputOver.UnsafeRegister(
            static relay => ((Relay)relay!)._upstream.Interrupt(), this).ConfigureAwait(false);
        await using var upstreamOver = _upstream.InputOver.UnsafeRegister(
            static relay => ((Relay)relay!)._peer.Interrupt(), this).ConfigureAwait(false);
        _ = NoticeEndAsync(_peer, _upstream);
        _ = NoticeEndAsync(_upstream, _peer);
        _scope.Wheel.Watch(this, NextLook(_scope.Wheel.Now));
        try
        {
            await Task.WhenAll(
                RelayAsync(_peer, _upstream, toUpstream: true),
                RelayAsync(_upstream, _peer, toUpstream: false)).ConfigureAwait(false);
        }
        finally
        {
            _isOver = true;
            _scope.Wheel.Unwatch(this);
            Decide(RelayOutcome.Completed);
            _options.Counters?.End(_outcome is not ((int)RelayOutcome.Completed or (int)RelayOutcome.CloseRequested));
        }

        return new RelayResult
        {
            Outcome = (RelayOutcome)_outcome,
            BytesToUpstream = _bytesToUpstream,
            BytesFromUpstream = _bytesFromUpstream,
            Duration = _scope.Time.GetElapsedTime(began),
        };
    }

    private async Task RelayAsync(RelayLeg from, RelayLeg to, bool toUpstream)
    {
        try
        {
            while (true)
            {
                var read = await from.Input.ReadAsync().ConfigureAwait(false);
                if (to.IsGone)
                {
                    from.Input.AdvanceTo(read.Buffer.End); // Nobody is left to get it.
                    if (read.IsCompleted || from.IsLeft)
                    {
                        return;
                    }

                    continue;
                }

                var bytes = read.Buffer.Length > _options.MaxBufferedBytes
                    ? read.Buffer.Slice(0, _options.MaxBufferedBytes)
                    : read.Buffer;
                if (bytes.IsEmpty)
                {
                    from.Input.AdvanceTo(bytes.End);
                    if (read.IsCompleted)
                    {
                        to.HalfClose();
                        return;
                    }

                    continue; // Somebody cancelled the read.
                }

                _isUnanswered = toUpstream;
                var length = bytes.Length;
                var sending = to.SendAsync(bytes, from);
                if (!(sending.IsCompletedSuccessfully ? sending.Result : await sending.ConfigureAwait(false)))
                {
                    if (to.Graceful.State is not (CloseState.Closed or CloseState.Aborted))
                    {
                        Reset(from, ResetOf(to)); // Somebody else has ended its output.
                        return;
                    }

                    Lose(to);
                    continue;
                }

                Count(toUpstream, length);
                if (from.IsHalfClosed)
                {
                    _scope.Wheel.WatchFor(this, SoonLook); // Nobody may be left there, which RST says.
                }
            }
        }
        catch (Exception exception) when (exception is IOException or ConnectionAbortedException)
        {
            Reset(to, exception is ConnectionAbortedException ? RelayOutcome.Aborted : ResetOf(from));
        }
        catch (OperationCanceledException) when (from.Graceful.IsCloseRequested)
        {
            // A close request cancelled the read. That is no FIN of this side's, which may be in the middle of a
            // message: the other side gets one only if nothing is left to be answered.
            if (_isUnanswered)
            {
                Reset(to, RelayOutcome.CutOff);
            }
            else
            {
                Decide(RelayOutcome.CloseRequested);
                to.HalfClose();
            }
        }
        catch (Exception) when (!from.Graceful.IsEnding && !to.Graceful.IsEnding)
        {
            // Somebody else reads here, or a stream that wraps a leg failed in its own way. One direction alone would
            // go on for as long as both peers stay, and nobody would hear of the fault. A leg that somebody disposed
            // closes by itself, and the end of that tells the other one.
            Reset(to, RelayOutcome.Aborted);
            Reset(from, RelayOutcome.Aborted);
            throw;
        }
    }

    private void Count(bool toUpstream, long bytes)
    {
        ref var count = ref toUpstream ? ref _bytesToUpstream : ref _bytesFromUpstream;
        Volatile.Write(ref count, count + bytes);
        _options.Counters?.Add(toUpstream, bytes);
    }

    private async Task NoticeEndAsync(RelayLeg leg, RelayLeg other)
    {
        var result = await leg.Graceful.Closed.ConfigureAwait(false);
        if (_isOver)
        {
            return;
        }

        if (result.Outcome != CloseOutcome.PeerReset)
        {
            Reset(other, RelayOutcome.Aborted);
        }
        else if (leg.HadEndedAtReset || other.HeldUpSend == 0)
        {
            Lose(leg);
        }
        else
        {
            Reset(other, ResetOf(leg)); // A part may be missing behind what is held up.
        }
    }

    // Nothing can be sent to it any more. What follows what it had sent before, the other direction sees.
    private void Lose(RelayLeg leg)
    {
        Decide(ResetOf(leg));
        leg.IsGone = true;
        EndBehind(leg, leg == _peer ? _upstream : _peer, _scope.Wheel.Now); // Mostly nothing is on its way.
    }

    private RelayOutcome ResetOf(RelayLeg leg) =>
        leg == _peer ? RelayOutcome.PeerReset : RelayOutcome.UpstreamReset;

    private void Reset(RelayLeg leg, RelayOutcome outcome)
    {
        Decide(outcome);
        leg.Reset();
    }

    private void Decide(RelayOutcome outcome) =>
        Interlocked.CompareExchange(ref _outcome, (int)outcome, (int)RelayOutcome.None);
}
