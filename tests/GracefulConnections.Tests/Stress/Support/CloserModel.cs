using System.IO.Pipelines;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>
/// The closer between an input and an output that take one step at a time, on a clock that does the same: reaches what a pipe cannot show, acknowledgements and the timers
/// that they restart, and knows for each end when it may come and when it must.
/// </summary>
internal sealed class CloserModel : IAsyncDisposable
{
    private static readonly GracefulMetrics Metrics = new(null);
    private static readonly TimeSpan FlushStallTimeout = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LingerIdleTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(4); // Counts from delivery: short enough for random sequences to meet it.
    private static readonly TimeSpan LongestPoll = TimeSpan.FromMilliseconds(250);

    private readonly CloserScript _script;
    private readonly FakeTimeProvider _time = new();
    private readonly CloseScope _scope;
    private readonly MemoryConnection _connection = new(PipeScheduler.Inline);
    private readonly Closer _closer;
    private readonly ReadPump _input;
    private readonly SteppedOutput _output;
    private Task? _closing;
    private CloseState _lastState;
    private CloseReason? _expectedReason;
    private TimeSpan _now;
    private TimeSpan _requestedAt;
    private TimeSpan _returnedAt;
    private TimeSpan _progressAt;
    private TimeSpan _finSentAt;
    private TimeSpan _blockedAt;
    private TimeSpan _lastByteAt;
    private TimeSpan _deliveredAt;
    private long _written;
    private long _unacknowledgedAtEnd;
    private bool _discards;
    private bool _returned;
    private bool _requested;
    private bool _aborted;
    private bool _timedOut; // By a drain.
    private bool _reset;
    private bool _finSeen;
    private bool _deliverySeen;
    private bool _anotherLingered;

    private CloserModel(CloserScript script)
    {
        _script = script;
        var options = new GracefulCloseOptions
        {
            FlushStallTimeout = FlushStallTimeout,
            LingerIdleTimeout = LingerIdleTimeout,
            CloseTimeout = CloseTimeout,
            LingerUntil = script.LingerUntil,
            MaxLingerBytes = script.MaxLingerBytes,
            MaxLingeringConnections = 1,
        };
        _scope = new CloseScope(options, _time, NullLogger.Instance, Metrics);
        (_closer, _input, _output) = CreateCloser(_connection);
    }

    /// <returns>How the connection ended.</returns>
    public static async Task<CloseOutcome> RunAsync(CloserScript script)
    {
        await using var model = new CloserModel(script);
        foreach (var step in script.Steps)
        {
            model.Do(step);
            model.Settle();
        }

        await model.EndAsync();
        return (await model._closer.Closed).Outcome;
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private (Closer Closer, ReadPump Input, SteppedOutput Output) CreateCloser(MemoryConnection connection)
    {
        var closer = new Closer(connection, _scope);
        var input = new ReadPump(connection.Input, null, InputKind.Transport, closer);
        var output = SteppedOutput.Create(closer);
        closer.Attach(input, output);
        return (closer, input, output);
    }

    private void Do(CloserStep step)
    {
        switch (step.Act)
        {
            case CloserAct.Write when !_returned && !_output.IsCompleted:
                var wasBlocked = _output.IsWriteBlocked;
                Pattern.Write(_output, _written, step.Amount).GetResult();
                _written += step.Amount;
                _blockedAt = _output.IsWriteBlocked && !wasBlocked ? _now : _blockedAt;
                break;
            case CloserAct.CompleteOutput:
                _output.Complete();
                break;
            case CloserAct.CompleteInput when !_returned:
                _input.Complete();
                _discards = true;
                break;
            case CloserAct.Return:
                Return();
                break;
            case CloserAct.RequestClose:
                RequestClose();
                break;
            case CloserAct.Abort:
                _aborted |= !_closer.State.IsFinal();
                _closer.Abort();
                break;
            case CloserAct.DrainTimesOut:
                _timedOut |= !_closer.State.IsFinal();
                _closer.Abort(isLimit: true);
                break;
            case CloserAct.KernelTakes:
                _output.Take(step.Amount);
                break;
            case CloserAct.PeerAcknowledges:
                _progressAt = _output.Acknowledge(step.Amount) ? _now : _progressAt;
                break;
            case CloserAct.PeerAcknowledgesFin:
                _progressAt = _output.AcknowledgeFin() ? _now : _progressAt;
                break;
            case CloserAct.KernelGivesUp when !_output.IsDelivered:
                _output.GiveUp();
                _reset = true;
                break;
            case CloserAct.PeerSends:
                var before = _connection.SentBytes;
                _connection.Send(step.Amount);
                _lastByteAt = _connection.SentBytes != before ? _now : _lastByteAt;
                break;
            case CloserAct.PeerSendsFin:
                _connection.HalfClose();
                break;
            case CloserAct.PeerResets:
                _reset = true;
                _connection.Reset();
                break;
            case CloserAct.AnotherLingers:
                LetAnotherLinger();
                break;
            case CloserAct.Advance:
                _now += TimeSpan.FromMilliseconds(step.Amount);
                _time.Advance(TimeSpan.FromMilliseconds(step.Amount));
                break;
            default:
                break;
        }
    }

    private void Return()
    {
        if (_returned)
        {
            return;
        }

        _returned = true;
        _discards = true;
        _returnedAt = _now;
        if (!_closer.State.IsFinal())
        {
            _expectedReason ??= CloseReason.HandlerCompleted;
        }

        _closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        _closing = _closer.CloseAsync(LeftOver.Send).AsTask();
    }

    private void RequestClose()
    {
        var possible = !_returned && !_requested && !_closer.State.IsFinal();
        BrokenInvariantException.ThrowIf(
            _closer.TryRequestClose(CloseReason.Drain) != possible, $"a close request was {(possible ? "refused" : "accepted")} in {_closer.State}");
        if (possible)
        {
            _requested = true;
            _requestedAt = _now;
            _expectedReason ??= CloseReason.Drain;
        }
    }

    private void LetAnotherLinger()
    {
        var connection = new MemoryConnection(PipeScheduler.Inline);
        var (closer, _, output) = CreateCloser(connection);
        closer.OnHandlerReturned(CloseReason.HandlerCompleted);
        _ = closer.CloseAsync(LeftOver.Send).AsTask();
        output.AcknowledgeFin();
        _now += LongestPoll;
        _time.Advance(LongestPoll); // A look.
        BrokenInvariantException.ThrowIf(closer.State < CloseState.Lingering, $"the other connection is {closer.State}");
        _anotherLingered = true;
        connection.HalfClose();
        BrokenInvariantException.ThrowIf(closer.State != CloseState.Closed, $"the other connection is {closer.State} after its peer's FIN");
    }

    private void Settle()
    {
        if (_output.FinSent && !_finSeen)
        {
            _finSeen = true;
            _finSentAt = _now;
        }

        if (_output.IsDelivered && _returned && !_deliverySeen)
        {
            _deliverySeen = true;
            _deliveredAt = _now;
        }

        var state = _closer.State;
        BrokenInvariantException.ThrowIf(state < _lastState || (_lastState.IsFinal() && state != _lastState), $"the state went back from {_lastState} to {state}");
        BrokenInvariantException.ThrowIf(state is CloseState.Lingering && !_output.IsDelivered, "a linger began before everything was delivered");
        if (state.IsFinal() && !_lastState.IsFinal())
        {
            _unacknowledgedAtEnd = _written - _output.AcknowledgedBytes;
            CheckEnd(_closer.Closed.GetAwaiter().GetResult());
        }

        _lastState = state;
    }

    private async Task EndAsync()
    {
        Do(new CloserStep(CloserAct.Return, 0));
        Settle();
        Do(new CloserStep(CloserAct.Advance, (int)LongestPoll.TotalMilliseconds)); // A look, which sees what happened last.
        Settle();
        var longest = FlushStallTimeout + CloseDeadlines.Grace;
        for (var waited = TimeSpan.Zero; waited < longest; waited += LongestPoll)
        {
            Do(new CloserStep(CloserAct.Advance, (int)LongestPoll.TotalMilliseconds)); // In steps, or it would be a jump.
            Settle();
        }

        BrokenInvariantException.ThrowIf(
            !_closer.State.IsFinal(), $"nothing has happened for {longest}, and the state is {_closer.State}");
        await _closing!;
        var result = _closer.Result!.Value;
        BrokenInvariantException.ThrowIf(result != await _closer.Closed, "the close returned another result than Closed");
        BrokenInvariantException.ThrowIf(result.UnacknowledgedBytes != _unacknowledgedAtEnd, $"{_unacknowledgedAtEnd} bytes were unacknowledged at the end: {result}");
        Do(new CloserStep(CloserAct.Advance, 1000));
        BrokenInvariantException.ThrowIf(_scope.Wheel.Count != 0, "the wheel still watches something after the end");
    }

    private void CheckEnd(CloseResult result)
    {
        if (_expectedReason is null)
        {
            _expectedReason = result.Outcome == CloseOutcome.PeerReset ? CloseReason.PeerReset : CloseReason.Application;
        }

        // A limit is no abort once all output and our FIN are in the kernel.
        var isLimit = result.Outcome is CloseOutcome.FlushTimedOut
            or CloseOutcome.LingerTimedOut
            or CloseOutcome.LingerLimitExceeded
            or CloseOutcome.LingerEvicted
            or CloseOutcome.CloseTimedOut
            || (_timedOut && result.Outcome == CloseOutcome.Aborted);
        var closed = result.Outcome is CloseOutcome.Graceful or CloseOutcome.Acknowledged
            || (isLimit && _returned && _output.FinSent);
        BrokenInvariantException.ThrowIf(result.Reason != _expectedReason, $"the first cause was {_expectedReason}: {result}");
        BrokenInvariantException.ThrowIf(_closer.State != (closed ? CloseState.Closed : CloseState.Aborted), $"the state is {_closer.State}: {result}");
        BrokenInvariantException.ThrowIf(_output.Aborted == closed || (_connection.Aborts > 0) == closed, $"{_connection.Aborts} aborts: {result}");
        BrokenInvariantException.ThrowIf(
            result.Duration != (_returned ? _now - _returnedAt : TimeSpan.Zero), $"the close took {_now - _returnedAt}: {result}");
        var possible = result.Outcome switch
        {
            CloseOutcome.Graceful => _returned && _output.IsDelivered && _connection.PeerSentFin && result.DiscardedBytes == _connection.SentBytes,
            CloseOutcome.Acknowledged => _script.LingerUntil == LingerUntil.OutputAcknowledged && Passed(CloseDeadlines.QuietTail, _deliveredAt, _lastByteAt) && _output.IsDelivered,
            CloseOutcome.FlushTimedOut when _returned => Passed(FlushStallTimeout, _returnedAt, _progressAt, _finSeen ? _finSentAt : default) && !_output.IsDelivered,
            CloseOutcome.FlushTimedOut => _requested && Passed(FlushStallTimeout, _requestedAt, _progressAt, _blockedAt) && _output.IsWriteBlocked,
            CloseOutcome.LingerTimedOut => _output.IsDelivered && Passed(LingerIdleTimeout, _deliveredAt, _lastByteAt),
            CloseOutcome.LingerLimitExceeded => _finSeen && _discards && result.DiscardedBytes > _script.MaxLingerBytes,
            CloseOutcome.LingerEvicted => _anotherLingered && _output.IsDelivered,
            CloseOutcome.CloseTimedOut => _output.IsDelivered && Passed(CloseTimeout, _deliveredAt),
            CloseOutcome.PeerReset => _reset,
            CloseOutcome.Aborted => _aborted || _timedOut,
            _ => false,
        };
        BrokenInvariantException.ThrowIf(!possible, $"{_now} on the clock, and this cannot be: {result}");
    }

    private bool Passed(TimeSpan timeout, TimeSpan a, TimeSpan b = default, TimeSpan c = default) =>
        _now - new[] { a, b, c }.Max() >= timeout;
}
