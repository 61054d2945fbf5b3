using System.IO.Pipelines;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.Extensions.Logging.Abstractions;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>
/// One closer under three threads, which are delayed wherever another one may come in between. Afterwards the clock runs until
/// every limit is over: whatever the order was, the connection has ended, once and for a cause that there was.
/// </summary>
internal sealed class CloserRace : IAsyncDisposable
{
    private static readonly GracefulMetrics Metrics = new(null);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(250);

    private readonly RaceScript _script;
    private readonly SteppedTimeProvider _time = new();
    private readonly CloseScope _scope;
    private readonly MemoryConnection _connection = new(PipeScheduler.Inline);
    private readonly Closer _closer;
    private readonly ReadPump _input;
    private readonly RaceOutput _output;
    private readonly bool[] _done = new bool[Enum.GetValues<RaceAct>().Length]; // Each written by one thread only.
    private Task? _saying;
    private Task? _closing;
    private bool _returned;

    private CloserRace(RaceScript script)
    {
        _script = script;
        var options = new GracefulCloseOptions
        {
            FlushStallTimeout = script.Delays % 5 == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(3),
            LingerIdleTimeout = script.Delays % 7 == 0 ? Timeout.InfiniteTimeSpan : TimeSpan.FromSeconds(2),
            CloseTimeout = TimeSpan.FromSeconds(4),
            GoodbyeTimeout = TimeSpan.FromSeconds(1),
            LingerUntil = script.LingerUntil,
            MaxLingerBytes = script.MaxLingerBytes,
            MaxLingeringConnections = 1,
        };
        _scope = new CloseScope(options, _time, NullLogger.Instance, Metrics);
        _closer = new Closer(_connection, _scope);
        _input = new ReadPump(_connection.Input, null, InputKind.Transport, _closer);
        _output = new RaceOutput(_closer, script.CanHalfClose);
        _closer.Attach(_input, _output);
    }

    /// <returns>How the connection ended.</returns>
    public static async Task<CloseOutcome> RunAsync(RaceScript script)
    {
        await using var race = new CloserRace(script);
        var early = script.Delays % 2 == 0 ? race._closer.Closed : null;
        await Task.WhenAll(
            Task.Run(() => race.RunLane(script.Handler)),
            Task.Run(() => race.RunLane(script.Peer)),
            Task.Run(() => race.RunLane(script.Server))).WaitAsync(StressRun.Limit);
        await race.EndAsync();
        return race.Check(early);
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private void RunLane(RaceStep[] steps)
    {
        var last = CloseState.Open;
        foreach (var step in steps)
        {
            Do(step);
            _done[(int)step.Act] = true;
            var state = _closer.State;
            BrokenInvariantException.ThrowIf(
                state < last || (last.IsFinal() && state != last), $"the state went back from {last} to {state}");
            last = state;
        }
    }

    private void Do(RaceStep step)
    {
        switch (step.Act)
        {
            case RaceAct.Write or RaceAct.CompleteOutput or RaceAct.FaultOutput:
                UseOutput(step);
                break;
            case RaceAct.CompleteInput:
                _input.Complete();
                break;
            case RaceAct.Return:
                Return();
                break;
            case RaceAct.SayGoodbye when _returned && _saying is null && _closing is null:
                _saying = _closer.SayGoodbyeAsync(SayAsync).AsTask();
                break;
            case RaceAct.Seal or RaceAct.SealThenReset or RaceAct.SealThenClose when _returned && _saying is not { IsCompleted: false }:
                _closing ??= _closer.CloseAsync(
                    step.Act == RaceAct.Seal ? LeftOver.Send
                    : step.Act == RaceAct.SealThenReset ? LeftOver.SendThenReset
                    : LeftOver.SendThenClose).AsTask();
                break;
            case RaceAct.KernelTakes:
                _output.Take(step.Amount);
                break;
            case RaceAct.PeerAcknowledges:
                _output.Acknowledge(step.Amount);
                break;
            case RaceAct.PeerAcknowledgesFin:
                _output.AcknowledgeFin();
                break;
            case RaceAct.KernelGivesUp:
                _output.GiveUp();
                break;
            case RaceAct.SocketIsGone:
                _output.Disappear();
                break;
            case RaceAct.PeerSends when step.Amount > 10_000: // While it lingers.
                for (var i = 0; i < 20 && _closer.State < CloseState.Lingering; i++)
                {
                    Thread.Yield();
                }

                _connection.Send(10);
                break;
            case RaceAct.PeerSends:
                _connection.Send(step.Amount);
                break;
            case RaceAct.PeerSendsFin:
                _connection.HalfClose();
                break;
            case RaceAct.PeerResets:
                _connection.Reset();
                break;
            case RaceAct.RequestClose:
                _closer.TryRequestClose(CloseReason.Drain);
                break;
            case RaceAct.CapLinger:
                _closer.CapLinger(TimeSpan.FromSeconds(1));
                break;
            case RaceAct.Evict:
                _closer.Evict();
                break;
            case RaceAct.ServerCloses:
                _closer.OnClosingByServer();
                break;
            case RaceAct.InnerAborts:
                AbortInner();
                break;
            case RaceAct.Abort:
                _closer.Abort();
                break;
            case RaceAct.DrainTimesOut:
                _closer.Abort(isLimit: true);
                break;
            case RaceAct.Advance:
                _time.Advance(TimeSpan.FromMilliseconds(step.Amount));
                break;
        }
    }

    private void UseOutput(RaceStep step)
    {
        try
        {
            switch (step.Act)
            {
                case RaceAct.Write:
                    _output.GetMemory(step.Amount);
                    _output.Advance(step.Amount);
                    break;
                case RaceAct.CompleteOutput:
                    _output.Complete();
                    break;
                default:
                    _output.Complete(new InvalidTimeZoneException());
                    break;
            }
        }
        catch (Exception exception) when (exception is ObjectDisposedException or InvalidOperationException)
        {
            // Its handler completed it, or has returned: as documented.
        }
    }

    private void Return()
    {
        if (!_returned)
        {
            _returned = true;
            _closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        }
    }

    private async ValueTask SayAsync(CloseReason reason, CancellationToken cancellationToken)
    {
        if (_script.GoodbyeWaits)
        {
            var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = cancellationToken.UnsafeRegister(
                static state => ((TaskCompletionSource)state!).TrySetResult(), cancelled);
            await cancelled.Task;
        }
    }

    // One inside of TLS that has to abort.
    private void AbortInner()
    {
        var inner = new Closer(_connection, _scope, outer: _closer);
        inner.Attach(_input, new RaceOutput(inner, canHalfClose: true));
        inner.OnHandlerReturned(CloseReason.HandlerCompleted);
        inner.Abort();
    }

    private async Task EndAsync()
    {
        Return();
        await AdvanceUntilAsync(() => _saying is not { IsCompleted: false }, "the goodbye");
        _closing ??= _closer.CloseAsync(LeftOver.Send).AsTask();
        var others = Task.Run(() => RunLane(_script.End));
        await AdvanceUntilAsync(() => others.IsCompleted && _closing.IsCompleted, "the close");
        await others;
        await _closing;

        // One that was watched in the moment of its end is forgotten by its next look.
        await AdvanceUntilAsync(() => _scope.Wheel.Count == 0, "something that the wheel still watches after the end");
    }

    private ValueTask AdvanceUntilAsync(Func<bool> condition, string what) => StressRun.UntilAsync(
        () =>
        {
            _time.Advance(Look);
            return condition();
        },
        what);

    private CloseOutcome Check(Task<CloseResult>? early)
    {
        var (state, result) = (_closer.State, _closer.Result ?? default);
        BrokenInvariantException.ThrowIf(!state.IsFinal(), $"the close ended, and the state is {state}");
        var closed = _closer.Closed;
        BrokenInvariantException.ThrowIf(!closed.IsCompletedSuccessfully || closed.Result != result, "Closed tells another result");
        BrokenInvariantException.ThrowIf(early is not null && early != closed, "Closed is another task than before");
        var outcome = result.Outcome;
        var mustAbort = state == CloseState.Aborted || outcome == CloseOutcome.LeftToServer;
        BrokenInvariantException.ThrowIf(_output.IsAborted != mustAbort, $"the output was{(mustAbort ? " not" : "")} aborted: {result}");
        BrokenInvariantException.ThrowIf(result.Reason == CloseReason.None, $"an end without a reason: {result}");
        BrokenInvariantException.ThrowIf(result.Duration < TimeSpan.Zero, $"it ended before it began: {result}");
        var isReset = Did(RaceAct.KernelGivesUp) || Did(RaceAct.PeerResets);
        var mayAbort = Did(RaceAct.Abort) || Did(RaceAct.DrainTimesOut) || Did(RaceAct.InnerAborts) || Did(RaceAct.ServerCloses) || Did(RaceAct.SocketIsGone)
            || Did(RaceAct.FaultOutput) || Did(RaceAct.SealThenReset);
        var possible = outcome switch
        {
            CloseOutcome.Graceful => Did(RaceAct.ServerCloses)
                || (_connection.PeerSentFin && result.DiscardedBytes == _connection.SentBytes),
            CloseOutcome.Acknowledged => _script.LingerUntil == LingerUntil.OutputAcknowledged || Did(RaceAct.SealThenClose),
            CloseOutcome.LeftToServer => !_script.CanHalfClose,
            CloseOutcome.LingerLimitExceeded => _script.MaxLingerBytes is not null,
            CloseOutcome.LingerEvicted => Did(RaceAct.Evict),
            CloseOutcome.LingerTimedOut => _output.IsDelivered || Did(RaceAct.CapLinger),
            CloseOutcome.PeerReset => isReset,
            CloseOutcome.Aborted => mayAbort,
            CloseOutcome.FlushTimedOut or CloseOutcome.CloseTimedOut => true,
            _ => false,
        };
        BrokenInvariantException.ThrowIf(!possible, $"this cannot be: {result}");
        return outcome;
    }

    private bool Did(RaceAct act) => _done[(int)act];
}
