using System.IO.Pipelines;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Pipeline;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>
/// The whole middleware on a connection without a socket: carries out a script as the handler, the peer and the world, keeps its own books about what must be true, and
/// compares. In a row, or with the three of them on threads of their own.
/// </summary>
internal sealed class MemoryModel : IAsyncDisposable
{
    private static readonly GracefulMetrics Metrics = new(null);
    private static readonly TimeSpan CloseTimeout = TimeSpan.FromSeconds(8);
    private static readonly TimeSpan GoodbyeTimeout = TimeSpan.FromSeconds(1);

    private readonly Script _script;
    private readonly FakeTimeProvider _time = new();
    private readonly MemoryConnection _connection;
    private readonly TaskCompletionSource _handler = new();
    private readonly FaultLogger _log = new();
    private readonly Queue<Pending<FlushResult>> _flushes = new();
    private readonly Exception _fault = new InvalidTimeZoneException("The handler's own exception.");
    private readonly IDuplexPipe _originalTransport;
    private IGracefulCloseFeature _feature = null!;
    private IDuplexPipe _transport = null!;
    private Task _middleware = Task.CompletedTask;
    private Pending<ReadResult>? _read;
    private int _readAmount;
    private CloseState _lastState;
    private CloseReason? _expectedReason;
    private long _written;
    private long _flushed;
    private long _consumed;
    private long _held;
    private bool _outputCompleted;
    private bool _outputFailed; // And our FIN does not follow.
    private bool _inputCompleted;
    private bool _unflushedMayBeMissing;
    private bool _cutOff;
    private readonly Queue<long> _flushEnds = new();
    private long _taken;
    private long _notTaken;
    private int _pendingAtCut; // The first so many flushes were pending when the connection was cut off.
    private bool _unflushedCutOff;
    private bool _inputCutOff;
    private volatile bool _returned;
    private CancellationToken _goodbyeToken; // Cancelled if the goodbye was given up.
    private long _unflushedGoodbye;
    private volatile bool _threw;
    private volatile bool _requested;
    private volatile bool _reset;
    private volatile bool _aborted;

    private MemoryModel(Script script)
    {
        _script = script;
        _connection = new MemoryConnection(PipeScheduler.Inline);
        _originalTransport = _connection.Transport;
    }

    /// <summary>Carries out the script step by step: the same script always takes the same way.</summary>
    public static async Task RunInARowAsync(Script script)
    {
        await using var model = new MemoryModel(script);
        model.Start();
        foreach (var step in script.Steps)
        {
            model.Do(step);
            await model.SettleAsync();
        }

        await model.EndAsync();
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private ReadPump Reader => (ReadPump)_transport.Input;

    private bool IsRefused => Reader.IsRefused;

    private static CloseState Forward(CloseState last, CloseState state)
    {
        BrokenInvariantException.ThrowIf(state < last || (last == CloseState.Closed && state != last), $"the state went back from {last} to {state}");
        return state;
    }

    private void Start()
    {
        var options = new GracefulCloseOptions
        {
            AbortOnHandlerFault = _script.AbortOnHandlerFault,
            CancelReadOnCloseRequest = _script.CancelReadOnCloseRequest,
            AllowHalfOpen = _script.AllowHalfOpen,
            MaxLingerBytes = _script.MaxLingerBytes,
            FlushStallTimeout = TimeSpan.FromSeconds(3),
            LingerIdleTimeout = TimeSpan.FromSeconds(2),
            CloseTimeout = CloseTimeout,
            GoodbyeTimeout = GoodbyeTimeout,
            QuietTime = TimeSpan.FromMilliseconds(100),
            MessageGap = TimeSpan.FromMilliseconds(500),
            Goodbye = _script.Goodbye == GoodbyeKind.None ? null : SayGoodbyeAsync,
        };
        var scope = new CloseScope(options, _time, _log, Metrics);
        _middleware = new GracefulShutdownMiddleware(ServeAsync, scope).OnConnectionAsync(_connection);
    }

    private Task ServeAsync(ConnectionContext connection)
    {
        _transport = connection.Transport;
        _feature = connection.Features.Get<IGracefulCloseFeature>()!;
        return _handler.Task;
    }

    private async ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken)
    {
        _goodbyeToken = cancellationToken;
        BrokenInvariantException.ThrowIf(!_requested, "a goodbye was said that nobody asked for");
        BrokenInvariantException.ThrowIf(_threw, "a goodbye was said behind what a handler that threw had written");
        if (_script.Goodbye == GoodbyeKind.WaitsForItsToken)
        {
            _unflushedMayBeMissing = true;
            await Task.Delay(Timeout.InfiniteTimeSpan, cancellationToken);
        }

        if (!_outputCompleted)
        {
            connection.Transport.Output.GetSpan(16);
            Pattern.At(_written, 16).Span.CopyTo(connection.Transport.Output.GetSpan(16));
            connection.Transport.Output.Advance(16);
            _written += 16;
            _unflushedGoodbye = 16;
        }

        if (_script.Goodbye == GoodbyeKind.Throws)
        {
            _unflushedMayBeMissing = true;
            throw _fault;
        }
    }

    private void Do(Step step)
    {
        PollPending();

        if (_returned && _script.Goodbye != GoodbyeKind.None && step.Act is <= Act.CancelFlush or Act.CompleteOutput or Act.FailOutput)
        {
            return; // The output may be the goodbye's now.
        }

        switch (step.Act)
        {
            case Act.Write:
                if (_flushes.Count == 0)
                {
                    Write(step.Amount);
                }

                break;
            case Act.WriteBesidePending:
                Write(step.Amount);
                break;
            case Act.Buffer:
                UseOutput(() =>
                {
                    Pattern.At(_written, step.Amount).Span.CopyTo(_transport.Output.GetSpan(step.Amount));
                    _transport.Output.Advance(step.Amount);
                    _written += step.Amount;
                });
                break;
            case Act.Flush:
                if (_flushes.Count == 0)
                {
                    Flush();
                }

                break;
            case Act.CancelFlush:
                _transport.Output.CancelPendingFlush();
                break;
            case Act.Read:
                Read(step.Amount);
                break;
            case Act.ReadAll:
                Read(int.MaxValue);
                break;
            case Act.CancelRead:
                _transport.Input.CancelPendingRead();
                break;
            case Act.CompleteOutput:
                _transport.Output.Complete();
                if (!_outputCompleted && !_returned)
                {
                    _flushed = _written;
                    _outputCompleted = true;
                }

                break;
            case Act.FailOutput:
                if (!_outputCompleted && !_returned)
                {
                    // Behind the peer's FIN, and behind a refused read with nothing unanswered, it is an end like any other.
                    var input = Reader;
                    var isEnd = input.End.EndHanded
                        || (input.IsRefused && !input.IsCutOff)
                        || ((input.IsRefused || _inputCompleted) && _connection.PeerSentFin);
                    _outputCompleted = true;
                    _outputFailed = !isEnd;
                    _unflushedMayBeMissing |= isEnd;
                    if (!isEnd)
                    {
                        _expectedReason ??= CloseReason.HandlerFaulted;
                    }
                }

                _transport.Output.Complete(_fault);
                break;
            case Act.CompleteInput:
                _inputCompleted = true;
                _transport.Input.Complete();
                break;
            case Act.Return:
                Return(null);
                break;
            case Act.Throw:
                Return(_fault);
                break;
            case Act.ThrowCanceled:
                Return(new OperationCanceledException());
                break;
            case Act.PeerSend:
                _connection.Send(step.Amount);
                break;
            case Act.PeerRead:
                _connection.Receive();
                break;
            case Act.PeerHalfClose:
                _connection.HalfClose();
                break;
            case Act.PeerReset:
                _reset = true;
                NoteCutOff();
                _connection.Reset();
                break;
            case Act.RequestClose:
                Request(CloseReason.Drain, () => _feature.RequestClose(CloseReason.Drain));
                break;
            case Act.StopServer:
                Request(CloseReason.HostStopping, _connection.RequestClose);
                break;
            case Act.Abort:
                _aborted = true;
                NoteCutOff();
                _connection.Abort(new ConnectionAbortedException());
                break;
            case Act.Advance:
                _time.Advance(TimeSpan.FromMilliseconds(step.Amount));
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(step), step, null);
        }
    }

    // What the pipe did not take before it was cut off is lost, and that is no graceful end. What a handler that failed
    // its output had not flushed is left out anyway.
    private void NoteCutOff()
    {
        if (_feature.State.IsFinal())
        {
            return;
        }

        _pendingAtCut = _connection.ReceivedBytes < _flushed ? Math.Max(_pendingAtCut, _flushes.Count) : _pendingAtCut;
        _cutOff |= _returned
            && !_connection.Output.IsCompleted
            && _script.Goodbye == GoodbyeKind.None
            && _connection.ReceivedBytes < (_unflushedMayBeMissing ? _flushed : _written);
        _unflushedCutOff |= _flushed < _written;
    }

    private void Write(int bytes) => UseOutput(() =>
    {
        _flushes.Enqueue(Pattern.Write(_transport.Output, _written, bytes));
        _written += bytes;
        _flushed = _written;
        _flushEnds.Enqueue(_flushed);
    });

    private void Flush()
    {
        try
        {
            _flushes.Enqueue(new Pending<FlushResult>(_transport.Output.FlushAsync()));
            _flushed = _written;
            _flushEnds.Enqueue(_flushed);
        }
        catch (ObjectDisposedException) when (_returned)
        {
            // As documented.
        }
    }

    private void UseOutput(Action use)
    {
        try
        {
            use();
        }
        catch (ObjectDisposedException) when (_returned)
        {
            return; // As documented.
        }
        catch (InvalidOperationException) when (_outputCompleted && !_returned)
        {
            return; // As documented.
        }

        BrokenInvariantException.ThrowIf(_returned, "a write after the handler's return seemed to succeed");
        BrokenInvariantException.ThrowIf(_outputCompleted, "a write after Output.Complete() seemed to succeed");
    }

    private void Read(int amount)
    {
        if (_read is not null || IsRefused)
        {
            return; // What later reads do has tests of its own.
        }

        _readAmount = amount;
        try
        {
            _read = Pattern.Read(_transport.Input);
        }
        catch (Exception exception)
        {
            CheckReadFault(exception);
            return;
        }

        PollPending();
    }

    private void PollPending()
    {
        while (_flushes.TryPeek(out var flush) && flush.IsCompleted)
        {
            _flushes.Dequeue();

            // A flush has no documented exception. One that was pending at a cut tells whether the pipe had taken its bytes before;
            // so does a later one that the pipe took.
            var (end, flushed) = (_flushEnds.Dequeue(), flush.GetResult());
            if (!flushed.IsCompleted)
            {
                _taken = end;
            }
            else if (_pendingAtCut > 0)
            {
                _notTaken = end;
            }

            _pendingAtCut = Math.Max(_pendingAtCut - 1, 0);
        }

        if (_read is not { IsCompleted: true } read)
        {
            return;
        }

        _read = null;
        ReadResult result;
        try
        {
            result = read.GetResult();
        }
        catch (Exception exception)
        {
            CheckReadFault(exception);
            return;
        }

        Consume(result);
    }

    private void Consume(ReadResult result)
    {
        if (_returned)
        {
            // The read completed before the return and is looked at after it: too late for its bytes, which were discarded.
            return;
        }

        var buffer = result.Buffer;
        BrokenInvariantException.ThrowIf(_inputCompleted && !buffer.IsEmpty, "a read after Input.Complete() seemed to succeed");
        BrokenInvariantException.ThrowIf(!Pattern.Matches(_consumed, buffer), $"the handler read other bytes than were sent, somewhere after {_consumed}");
        BrokenInvariantException.ThrowIf(buffer.Length < _held, $"the handler had {_held} unconsumed bytes, and its next read had {buffer.Length}");
        if (result.IsCompleted)
        {
            var all = _connection.PeerSentFin ? _connection.SentBytes : long.MaxValue;
            BrokenInvariantException.ThrowIf(
                _consumed + buffer.Length != all,
                $"the input ended after {_consumed + buffer.Length} bytes; {_connection.SentBytes} were sent");
        }

        var consumed = Math.Min(_readAmount, buffer.Length);
        _held = buffer.Length - consumed;
        _consumed += consumed;
        _transport.Input.AdvanceTo(buffer.GetPosition(consumed), buffer.End);
    }

    private void CheckReadFault(Exception exception)
    {
        var documented = exception switch
        {
            ObjectDisposedException => _returned,
            InvalidOperationException => _inputCompleted,
            ConnectionResetException => _reset,
            ConnectionAbortedException => _connection.Aborts > 0, // Before the next one, from which it derives.
            OperationCanceledException => _returned || _inputCompleted || IsRefused,
            _ => false,
        };
        if (!documented)
        {
            throw new BrokenInvariantException($"the handler's read threw: {exception.Message}", exception);
        }

        if (exception is ConnectionResetException && !_returned)
        {
            // What most handlers do with it.
            _handler.TrySetException(exception);
            _expectedReason ??= CloseReason.PeerReset;
            _returned = true;
        }
    }

    private void Return(Exception? exception)
    {
        if (_returned)
        {
            return;
        }

        var normal = exception is null || (exception is OperationCanceledException && _requested);
        if (!_feature.State.IsFinal())
        {
            _expectedReason ??= normal ? CloseReason.HandlerCompleted : CloseReason.HandlerFaulted;
        }

        _threw = !normal;
        _inputCutOff = Reader.IsCutOff;
        _returned = true;
        if (exception is null)
        {
            _handler.TrySetResult();
        }
        else
        {
            _handler.TrySetException(exception);
        }
    }

    private void Request(CloseReason reason, Action request)
    {
        // A request after the return or the end does nothing.
        if (!_requested && ((!_returned && !_feature.State.IsFinal())))
        {
            _requested = true;
            _expectedReason ??= reason;
        }

        request();
    }

    private async ValueTask SettleAsync()
    {
        PollPending();

        // The next flush, or the end of the output, gets its turn on the thread pool.
        var output = (TransportOutput)_transport.Output;
        await StressRun.UntilAsync(
            () => !output.IsWriteBlocked || _connection.Output.IsBlocked,
            "whoever comes after a flush that has completed");
        PollPending();

        _lastState = Forward(_lastState, _feature.State);
        var final = _lastState.IsFinal();
        if (final && _expectedReason is null)
        {
            _expectedReason = (await _feature.Closed).Outcome == CloseOutcome.PeerReset ? CloseReason.PeerReset : CloseReason.Application;
        }

        // What the engine hands to the thread pool, and when it does, is known: wait for it, and nothing else is left to chance.
        if (_read is not null && (_returned || _inputCompleted))
        {
            await StressRun.UntilAsync(() => _read.IsCompleted, "a pending read, after the handler returned or completed its input");
            PollPending();
        }

        if (_read is not null && IsRefused)
        {
            BrokenInvariantException.ThrowIf(!_requested || !_script.CancelReadOnCloseRequest, "a read was refused that nobody asked for");
            BrokenInvariantException.ThrowIf(_held > 0, "a read was refused in the middle of a message");
            await StressRun.UntilAsync(() => _read.IsCompleted, "a read that a close request cancelled");
            PollPending();
        }

        if (final && _returned)
        {
            await StressRun.UntilAsync(() => _middleware.IsCompleted, "the middleware, after a final state");
        }
    }

    private async Task EndAsync()
    {
        Return(null);
        if (_script.PeerDrainsInTheEnd)
        {
            await DrainAsync();
        }

        if (_script.Goodbye == GoodbyeKind.None) // Before a goodbye the thread pool has a part in it.
        {
            for (var look = 0; look < 64 && !_feature.State.IsFinal(); look++)
            {
                _time.Advance(TimeSpan.FromMilliseconds(250)); // In steps, as the looks come.
                await Task.Yield();
            }

            BrokenInvariantException.ThrowIf(
                !_feature.State.IsFinal(),
                $"every limit after the handler's return is over, and the state is {_feature.State}");
        }

        var started = TimeProvider.System.GetTimestamp();
        while (!_middleware.IsCompleted)
        {
            BrokenInvariantException.ThrowIf(TimeProvider.System.GetElapsedTime(started) > StressRun.Limit, $"hang: the middleware did not end; the state is {_feature.State}");
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }

        await CheckEndAsync();
    }

    private async Task DrainAsync()
    {
        _connection.HalfClose();
        var limit = _script.Goodbye == GoodbyeKind.WaitsForItsToken ? 16 : 64;
        for (var i = 0; i < limit && !_connection.PeerSawFin && !_middleware.IsCompleted; i++)
        {
            _connection.Receive();
            await Task.Yield();
        }
    }

    private async Task CheckEndAsync()
    {
        var state = _feature.State;
        var closed = _feature.Closed;
        BrokenInvariantException.ThrowIf(!closed.IsCompletedSuccessfully, "the middleware ended and Closed did not complete");
        var result = await closed;
        CheckMiddleware(result);
        CheckResult(state, result);

        // The server's part: it completes the transport that it made.
        await _connection.Output.CompleteAsync();
        _connection.Receive();
        CheckBytes(result);
        await StressRun.UntilAsync(
            () =>
            {
                PollPending();
                return _read is null && _flushes.Count == 0;
            },
            "a read or a flush that is still pending after the end");
        BrokenInvariantException.ThrowIf(
            (_cutOff || _notTaken > _taken) && result.Outcome is CloseOutcome.Graceful or CloseOutcome.Acknowledged,
            $"the connection was cut off with output under way, and the result is {result}");
        BrokenInvariantException.ThrowIf(_connection.Output.Violation is not null, $"{_connection.Output.Violation} was called on the transport's writer after its completion");
        BrokenInvariantException.ThrowIf(!ReferenceEquals(_connection.Transport, _originalTransport), "the transport was not restored");
        BrokenInvariantException.ThrowIf(
            !ReferenceEquals(_connection.Features.Get<IConnectionLifetimeNotificationFeature>(), _connection), "the lifetime notification feature was not restored");

        // Terminal is final, whatever comes late.
        _feature.RequestClose(CloseReason.MaxConnectionAge);
        _connection.Abort(new ConnectionAbortedException());
        _time.Advance(TimeSpan.FromSeconds(1));
        BrokenInvariantException.ThrowIf(_feature.State != state, $"the final state changed from {state} to {_feature.State}");
        BrokenInvariantException.ThrowIf(await _feature.Closed != result, "the result changed after the end");
        BrokenInvariantException.ThrowIf(
            TimerWheel.For(_time).Count != 0, "the wheel still watches something after the end");
    }

    private void CheckMiddleware(CloseResult result)
    {
        if (_middleware.IsFaulted)
        {
            var exception = _middleware.Exception!.InnerException!;
            if (!_threw || (exception != _fault && exception is not OperationCanceledException))
            {
                throw new BrokenInvariantException($"the middleware threw: {exception.Message} ({result})", exception);
            }

            return;
        }

        BrokenInvariantException.ThrowIf(_middleware.IsCanceled != _threw, $"the handler {(_threw ? "threw" : "returned")} and the middleware did not ({result})");
    }

    private void CheckResult(CloseState state, CloseResult result)
    {
        var gracefully = result.Outcome is CloseOutcome.Graceful or CloseOutcome.Acknowledged;

        // A limit is no abort once our FIN is in the kernel. On a pipe it is there when it was sent, unless an RST is to follow.
        var mayReset = _outputFailed || _inputCutOff || (_threw && _script.AbortOnHandlerFault);
        var isLimit = result.Outcome is CloseOutcome.LingerTimedOut or CloseOutcome.LingerLimitExceeded or CloseOutcome.CloseTimedOut;

        // The clock of a sequence may run on for long before a thread of the pool goes on behind a goodbye that was given up.
        var isStarved = _script.Goodbye != GoodbyeKind.None && result.Outcome == CloseOutcome.CloseTimedOut;
        var closed = gracefully || (isLimit && !((mayReset || isStarved) && state == CloseState.Aborted));
        BrokenInvariantException.ThrowIf(state != (closed ? CloseState.Closed : CloseState.Aborted), $"the state is {state}, the result is {result}");
        BrokenInvariantException.ThrowIf(!closed && _connection.Aborts == 0, $"no RST, and the result is {result}");
        BrokenInvariantException.ThrowIf(closed && _connection.Aborts != 0 && !_aborted, $"RST, and the result is {result}");
        BrokenInvariantException.ThrowIf(gracefully && !_connection.PeerSentFin, $"the peer sent no FIN, and the result is {result}");
        _cutOff |= _unflushedCutOff && !_threw && !_unflushedMayBeMissing;
        BrokenInvariantException.ThrowIf(gracefully && _outputFailed, $"the handler failed its output, and the result is {result}");
        BrokenInvariantException.ThrowIf(
            gracefully && !_outputCompleted && ((_threw && _script.AbortOnHandlerFault) || _inputCutOff),
            $"a part may be missing, and the result is {result}");
        BrokenInvariantException.ThrowIf(result.Outcome == CloseOutcome.Acknowledged, "acknowledgements cannot be seen on a pipe");
        BrokenInvariantException.ThrowIf(result.UnacknowledgedBytes is not null, "what is unacknowledged cannot be known on a pipe");
        var cannotTell = _aborted && _connection.PeerSentFin; // The input ended before the abort, and the output only tells that it was cut off.
        BrokenInvariantException.ThrowIf(result.Outcome == CloseOutcome.PeerReset && !_reset && !cannotTell, $"no peer reset it, and the result is {result}");
        BrokenInvariantException.ThrowIf(
            result.Outcome == CloseOutcome.Aborted && !_aborted && !mayReset, $"nobody aborted it, and the result is {result}; logged: {_log}");
        BrokenInvariantException.ThrowIf(result.Outcome == CloseOutcome.LingerLimitExceeded && _script.MaxLingerBytes is null, $"there is no limit, and the result is {result}");
        BrokenInvariantException.ThrowIf(result.Reason != _expectedReason, $"the first cause was {_expectedReason}, and the result is {result}");
    }

    private void CheckBytes(CloseResult result)
    {
        BrokenInvariantException.ThrowIf(_connection.ReceivedBytes > _written, $"{_written} bytes were written, {_connection.ReceivedBytes} received");
        if (result.Outcome != CloseOutcome.Graceful || _aborted || _reset)
        {
            return;
        }

        BrokenInvariantException.ThrowIf(!_connection.PeerSawFin, $"the peer saw no FIN, and the result is {result}");
        var required = _unflushedMayBeMissing ? _flushed : _written; // Also what a handler wrote that threw.
        if (!_unflushedMayBeMissing && _goodbyeToken.IsCancellationRequested)
        {
            required -= _unflushedGoodbye; // It was given up, and what it had not flushed is left out.
        }

        BrokenInvariantException.ThrowIf(
            _connection.ReceivedBytes < required, $"{required} bytes were to be delivered, {_connection.ReceivedBytes} were received, and the result is {result}");
        BrokenInvariantException.ThrowIf(
            _consumed + result.DiscardedBytes != _connection.SentBytes,
            $"the peer sent {_connection.SentBytes} bytes, the handler consumed {_consumed}, {result.DiscardedBytes} were discarded");
    }
}
