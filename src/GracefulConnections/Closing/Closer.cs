using System.Net.Security;
using System.Threading.Tasks.Sources;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Closing;

/// <summary>
/// Drives one connection to its end: takes what the transport, the handler, the sweeper and the application tell, moves the state by
/// the table, and carries out what the last state asks for. All decisions are made under one lock, everything else happens outside.
/// </summary>
/// <param name="connection">The connection.</param>
/// <param name="scope">What the connections of the endpoint share.</param>
/// <param name="activity">How the handler has behaved so far.</param>
/// <param name="ended">Called at the end.</param>
/// <param name="outer">
/// The one that closes TCP around the TLS that this one closes: it ends the connection, and is the one that is counted and logged.
/// </param>
internal sealed partial class Closer(
    ConnectionContext connection, CloseScope scope, Activity activity, Action? ended = null, Closer? outer = null)
    : Sweepable, ITransportEvents, IValueTaskSource
{
    private readonly Lock _lock = new();
    private readonly BoundaryLimits _boundary = new(scope.Options.QuietTime, scope.Options.MessageGap);
    private ReadPump _input = null!;
    private TransportOutput _output = null!;
    private CloseState _state;
    private CloseReason _reason;
    private CloseResult _result;
    private TaskCompletionSource<CloseResult>? _closed;
    private Goodbye? _goodbye;
    private LinkedListNode<Closer>? _lingering;
    private Exception? _fault; // Why the connection ends by RST, where that is known.
    private int _openScopes;
    private bool _usesScopes;
    private bool _closeRequested;
    private bool _cancelsRead;
    private bool _isInsideTls;
    private bool _handlerReturned;
    private bool _countedAsClosing;
    private CloseResult? _innerResult;
    private TimeSpan _closingSince;
    private TimeSpan _requestedAt;

    public CloseState State
    {
        get
        {
            lock (_lock)
            {
                return _state;
            }
        }
    }

    public bool IsCloseRequested
    {
        get
        {
            lock (_lock)
            {
                return _closeRequested;
            }
        }
    }

    public CloseReason Reason
    {
        get
        {
            lock (_lock)
            {
                return _reason;
            }
        }
    }

    /// <summary>Gets whether the handler has the connection.</summary>
    public bool IsServing
    {
        get
        {
            lock (_lock)
            {
                return !_handlerReturned && !CloseTransitions.IsFinal(_state);
            }
        }
    }

    /// <summary>Gets whether the handler has said that a message is in hand.</summary>
    public bool HasOpenScope
    {
        get
        {
            lock (_lock)
            {
                return _openScopes > 0;
            }
        }
    }

    /// <summary>Gets how the connection ended; <see langword="null"/> while it has not.</summary>
    public CloseResult? Result
    {
        get
        {
            lock (_lock)
            {
                return _finished ? _result : null;
            }
        }
    }

    public Task<CloseResult> Closed
    {
        get
        {
            lock (_lock)
            {
                _closed ??= new TaskCompletionSource<CloseResult>(TaskCreationOptions.RunContinuationsAsynchronously);
                if (_finished)
                {
                    _closed.TrySetResult(_result);
                }

                return _closed.Task;
            }
        }
    }

    private TimeSpan Now => scope.ClosingSweeper.Now;

    private bool IsAroundTls => outer is null && !_isInsideTls && connection.Features.Get<SslStream>() is not null;

    public void Attach(ReadPump input, TransportOutput output)
    {
        _input = input;
        _output = output;
        _isInsideTls = input.Kind == InputKind.Tls;
    }

    /// <summary>Asks for the close. The handler goes on until it notices.</summary>
    /// <returns><see langword="false"/> when it was asked before, or is closing already.</returns>
    public bool TryRequestClose(CloseReason reason)
    {
        lock (_lock)
        {
            if (_closeRequested || _handlerReturned || CloseTransitions.IsFinal(_state))
            {
                return false;
            }

            _closeRequested = true;
            SetReason_NeedsLock(reason);
            _requestedAt = Now;
            _progressAt = _requestedAt;
            _writeBlocked = _output.IsWriteBlocked;
        }

        // A write that the handler is blocked in is bounded from now on.
        scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, LongestPoll));
        return true;
    }

    /// <summary>After <see cref="TryRequestClose"/>: cancels the handler's read as soon as this is no middle of a message.</summary>
    /// <param name="closeRequested">The token of the exception that the handler gets.</param>
    public void CancelRead(CancellationToken closeRequested)
    {
        lock (_lock)
        {
            _cancelsRead = true;
        }

        _input.Ask(closeRequested);
        WatchBoundary();
    }

    /// <summary>Takes <see cref="CancelRead"/> back: the handler turned out to look after close requests itself.</summary>
    public void KeepInput()
    {
        lock (_lock)
        {
            _cancelsRead = false;
        }

        _input.Keep();
    }

    /// <summary>The handler has a message in hand: a close request waits for its end.</summary>
    public void BeginMessage()
    {
        lock (_lock)
        {
            _usesScopes = true;
            _openScopes++;
        }
    }

    /// <summary>The end of a message that <see cref="BeginMessage"/> began.</summary>
    public void EndMessage()
    {
        lock (_lock)
        {
            _openScopes--;
        }

        WatchBoundary();
    }

    /// <summary>Accepts no longer silence than this while lingering, from now on.</summary>
    public void CapLinger(TimeSpan cap)
    {
        lock (_lock)
        {
            if (cap == Timeout.InfiniteTimeSpan)
            {
                return;
            }

            _drainCap = cap;
            if (_lingerIdleTimeout == Timeout.InfiniteTimeSpan || cap < _lingerIdleTimeout)
            {
                _lingerIdleTimeout = cap;
            }

            if (_state is not (CloseState.Flushing or CloseState.Lingering))
            {
                return;
            }
        }

        scope.ClosingSweeper.Watch(this, Now); // It is watched for a later time.
    }

    /// <summary>The handler has returned: what the peer sends from now on is discarded.</summary>
    /// <param name="reason">Why the close begins, unless a reason is known already.</param>
    /// <param name="inner">The one that closed TLS inside of this one: its close was the first part of this one's.</param>
    /// <param name="fault">What the handler threw, if the connection is to end by RST for it.</param>
    public void OnHandlerReturned(CloseReason reason, Closer? inner = null, Exception? fault = null)
    {
        lock (_lock)
        {
            _innerResult = inner?.Result;
            SetReason_NeedsLock(_innerResult?.Reason ?? reason);
            _fault ??= fault;
            _handlerReturned = true;
            _closingSince = _innerResult is null ? Now : inner!._closingSince;
            if (outer is null && !CloseTransitions.IsFinal(_state))
            {
                _countedAsClosing = true;
                scope.Metrics.CloseStarted();
            }
        }

        if (outer is null)
        {
            Log.Closing(scope.Logger, connection.ConnectionId, _reason);
        }

        _input.Close();
    }

    /// <summary>Ends the connection with RST.</summary>
    public void Abort()
    {
        Raise(CloseEvent.Abort);
        GiveUpWaiting();
    }

    /// <summary>A newer lingering connection needs the place.</summary>
    public void Evict() => Raise(CloseEvent.LingerEvicted);

    /// <summary>
    /// The server is about to close the socket by FIN itself. If the input had ended well and nothing of ours was unsent, that is
    /// the graceful end of the connection.
    /// </summary>
    public void OnClosingByServer()
    {
        var isInputOver = _input.EndHanded || connection.ConnectionClosed.IsCancellationRequested;
        var isGood = isInputOver && !_input.ResetSeen && !_input.IsConnectionOver && !_output.HasUnsent;
        Raise(isGood ? CloseEvent.ClosedByServer : CloseEvent.Abort, abortsConnection: false);
    }

    /// <summary>
    /// Sends the rest and our FIN, and waits for the end; <see cref="Result"/> says how it ended. Call it once, and await it once.
    /// </summary>
    public ValueTask CloseAsync(LeftOver leftOver)
    {
        bool over;
        bool finSent;
        lock (_lock)
        {
            over = CloseTransitions.IsFinal(_state);
            finSent = _finSent;
            if (!over)
            {
                _progressAt = Now;
                _poll = ShortestPoll;
                _endsByReset |= leftOver == LeftOver.SendThenReset;
                _endsByServer |= leftOver == LeftOver.SendThenClose;
                Move_NeedsLock(CloseEvent.HandlerReturned);
            }
        }

        _output.Seal(leftOver == LeftOver.SendThenClose ? LeftOver.SendThenReset : leftOver); // Neither sends a FIN.
        _input.Discard();
        if (!over)
        {
            if (finSent)
            {
                Deliver(); // The handler completed its output long ago, so sealing it sent nothing that would look.
            }

            if (!CloseTransitions.IsFinal(State))
            {
                // Watching comes last, so that a connection that ended at once was never watched; one that ends right now is
                // forgotten by its next sweep.
                scope.ClosingSweeper.Watch(this, CloseSweeper.Add(Now, ShortestPoll));
            }
        }

        var end = new ValueTask(this, _end.Version);
        return _output.Ended.IsCompleted && _input.Kind == InputKind.Transport ? end : EndAsync(end);
    }

    void IValueTaskSource.GetResult(short token) => _end.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _end.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _end.OnCompleted(continuation, state, token, flags);
}
