using System.IO.Pipelines;
using System.Net.Security;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Pipeline;

/// <summary>
/// One connection as its handler sees it: the transport with our two directions, the close feature, and the lifetime notification and heartbeat that stand in front of the server's own.
/// </summary>
internal sealed class GracefulConnection : TrackedConnection, IGracefulCloseFeature, IConnectionLifetimeNotificationFeature, IConnectionHeartbeatFeature, IDuplexPipe, IDisposable
{
    private readonly ConnectionContext _connection;
    private readonly Activity _activity;
    private readonly CloseScope _scope;
    private readonly IDuplexPipe _originalTransport;
    private readonly IConnectionLifetimeNotificationFeature? _originalNotification;
    private readonly IConnectionHeartbeatFeature? _originalHeartbeat;
    private readonly Closer _closer;
    private readonly ConnectionTransport _transport;
    private readonly CancellationTokenRegistration _serverRequest;
    private readonly LifetimeLimits? _limits;
    private readonly HalfOpen? _halfOpen;
    private readonly Tracking? _tracking;
    private readonly GracefulConnection? _outer;
    private readonly bool _isInsideTls;
    private GracefulConnection? _inner;
    private CancellationTokenSource? _closeRequested;
    private Task? _disposal;
    private Func<ConnectionContext, CloseReason, CancellationToken, ValueTask>? _goodbye;
    private CancellationToken _notificationOverride;
    private bool _isNotificationOverridden;
    private bool _isRequested;
    private volatile bool _isAware;
    private volatile bool _handlerReturned;

    /// <exception cref="InvalidOperationException">Another one closes the connection, and there is no TLS between, so that both would have the same part.</exception>
    public GracefulConnection(ConnectionContext connection, CloseScope scope, DrainCoordinator? drain, MiddlewareOrder order = default)
    {
        _outer = connection.Features.Get<IGracefulCloseFeature>() as GracefulConnection;
        if (_outer is { IsAroundTls: false })
        {
            throw new InvalidOperationException($"The connection {connection.ConnectionId} is closed by UseGracefulShutdown() or RunGracefullyAsync() already. {MiddlewareOrder.Advice}");
        }

        _isInsideTls = connection.Features.Get<SslStream>() is not null;
        _isAware = order.HasGraceful; // The one inside sees the messages, and passes a close request on.
        _tracking = drain is null || _outer is not null ? null : new Tracking(drain); // A drain counts the outer one only.
        _activity = new Activity(scope.Time);
        _connection = connection;
        _scope = scope;
        _goodbye = scope.Options.Goodbye;
        _originalTransport = connection.Transport;
        _originalNotification = connection.Features.Get<IConnectionLifetimeNotificationFeature>();
        _originalHeartbeat = connection.Features.Get<IConnectionHeartbeatFeature>();
        _halfOpen = scope.Options.AllowHalfOpen ? new HalfOpen(connection.ConnectionClosed) : null;
        _closer = new Closer(connection, scope, _activity, _halfOpen is null ? null : SignalOver, _outer?._closer);
        _transport = ConnectionTransport.Create(connection, _closer, _activity, scope.Time, order.HasSomebodyBefore);
        _closer.Attach(_transport.Input, _transport.Output);

        Context = new GracefulConnectionContext(connection, this);
        connection.Transport = this;
        connection.Features.Set<IGracefulCloseFeature>(this);
        connection.Features.Set<IConnectionLifetimeNotificationFeature>(this);
        if (_originalHeartbeat is not null)
        {
            connection.Features.Set<IConnectionHeartbeatFeature>(this);
        }

        if (_outer is null)
        {
            scope.Metrics.Opened();
        }
        else
        {
            _outer._inner = this;
        }

        if (_halfOpen is not null)
        {
            connection.ConnectionClosed = _halfOpen.Over.Token;
            _halfOpen.InputEnded = _halfOpen.OriginalClosed.UnsafeRegister(static state => ((GracefulConnection)state!).SignalIfOver(), this);
        }

        if (LifetimeLimits.IsNeeded(scope.Options))
        {
            _limits = new LifetimeLimits(scope, _transport, RequestClose, _halfOpen is null ? null : NoticeEnd);
            _limits.Start();
        }

        // Last: a drain that has begun, or a server that is stopping, asks right here.
        _tracking?.Drain.Add(this);
        _serverRequest = _originalNotification?.ConnectionClosedRequested.UnsafeRegister(static state => ((GracefulConnection)state!).OnServerRequest(), this) ?? default;
    }

    /// <summary>Gets the connection for everything behind the middleware.</summary>
    public ConnectionContext Context { get; }

    public PipeReader Input => _transport.Input.Handler;

    public PipeWriter Output => _transport.Output;

    public override CloseState State => _closer.State;

    public override CloseResult? Result => _closer.Result;

    public override long StartTimestamp => _activity.StartedAt;

    public override bool IsBusy =>
        _inner?.IsBusy ?? (_closer.IsServing
            && (_closer.HasOpenScope
                || (!_transport.Input.IsWaitingForMessage
                    && (_transport.Input.ReceivedBytes > 0 || _transport.Output.WrittenBytes > 0))));

    public Task<CloseResult> Closed => _closer.Closed;

    public CloseScope Scope => _scope;

    /// <summary>Gets why nothing is taken over from the server, if it is so.</summary>
    public LeftToServerReason LeftToServer => _transport.Reason;

    /// <summary>Gets whether a drain knows of the connection here, and not by the one around it.</summary>
    public bool IsTracked => _tracking is not null;

    /// <summary>Gets whether TLS was put on top of this connection: what it carries is not plaintext, and nothing may be written here but by TLS.</summary>
    public bool IsAroundTls => !_isInsideTls && _connection.Features.Get<SslStream>() is not null;

    /// <summary>Gets whether TLS ended without anybody who could send close_notify.</summary>
    public bool LacksCloseNotify => _inner is null && IsAroundTls;

    public bool IsCloseRequested => _closer.IsCloseRequested;

    /// <summary>Gets the task of a handler that <see cref="RunAsync"/> ran and that has ended.</summary>
    public Task Handler => _tracking!.Run!.Handler;

    /// <summary>Gets whether <see cref="RunAsync"/> left the handler behind.</summary>
    public bool IsAbandoned => _tracking!.Run!.IsAbandoned;

    public CancellationToken CloseRequested
    {
        get
        {
            lock (_closer)
            {
                if (_closeRequested is null)
                {
                    _closeRequested = new CancellationTokenSource();
                    if (_isRequested)
                    {
                        _closeRequested.Cancel(); // Nobody has registered yet: runs no callback.
                    }
                }

                return _closeRequested.Token;
            }
        }
    }

    CancellationToken IConnectionLifetimeNotificationFeature.ConnectionClosedRequested
    {
        get
        {
            if (!_isAware)
            {
                _isAware = true; // It is told, and trusted to end: its reads will not be cancelled.
                _closer.KeepInput();
            }

            return _isNotificationOverridden ? _notificationOverride : CloseRequested;
        }

        set
        {
            _notificationOverride = value;
            _isNotificationOverridden = true;
        }
    }

    // Kestrel's HTTP goes on timing its response after it has returned, and would abort a peer that needs longer than that for the rest of its upload: from then on the limits are ours.
    void IConnectionHeartbeatFeature.OnHeartbeat(Action<object> action, object state) =>
        _originalHeartbeat!.OnHeartbeat(static beat => ((HandlersHeartbeat)beat).Tick(), new HandlersHeartbeat(this, action, state));

    public MessageScope BeginMessage() => new(new MessageScopeState(_closer));

    void IConnectionLifetimeNotificationFeature.RequestClose() => RequestClose(CloseReason.Application);

    public void RequestClose(CloseReason reason = CloseReason.Application)
    {
        if (reason is not (CloseReason.HostStopping or CloseReason.Drain or CloseReason.IdleTimeout or CloseReason.MaxConnectionAge or CloseReason.Application))
        {
            throw new ArgumentOutOfRangeException(
                nameof(reason), reason, "A close can be requested with HostStopping, Drain, IdleTimeout, MaxConnectionAge or Application; the other reasons are observed, not requested.");
        }

        RequestClose(reason, abort: false);
    }

    private void RequestClose(CloseReason reason, bool abort)
    {
        var isFirst = _closer.TryRequestClose(reason);
        if (abort)
        {
            _closer.Abort(); // Before the callbacks, which are the application's and may take their time.
        }

        if (!isFirst)
        {
            return;
        }

        if (_outer is not { IsCloseRequested: true })
        {
            Log.CloseRequested(_scope.Logger, _connection.ConnectionId, reason);
        }

        CancellationTokenSource? closeRequested;
        lock (_closer)
        {
            _isRequested = true;
            closeRequested = _closeRequested;
        }

        try
        {
            closeRequested?.Cancel();
        }
        catch (AggregateException exception)
        {
            // One connection's callback must not keep a stopping server from asking the others.
            Log.CloseRequestCallbackFaulted(_scope.Logger, _connection.ConnectionId, exception);
        }

        if (_scope.Options.CancelReadOnCloseRequest && !_isAware)
        {
            _closer.CancelRead(CloseRequested);
        }
    }

    /// <summary>Adds the handler's own goodbye, said before the endpoint's.</summary>
    public void AddGoodbye(Func<ConnectionContext, CloseReason, CancellationToken, ValueTask> goodbye)
    {
        var endpoints = _goodbye;
        _goodbye = endpoints is null
            ? goodbye
            : async (connection, reason, cancellationToken) =>
            {
                await goodbye(connection, reason, cancellationToken).ConfigureAwait(false);
                await endpoints(connection, reason, cancellationToken).ConfigureAwait(false);
            };
    }

    /// <summary>Closes after the handler returned, or ended by an exception that is as good as a return.</summary>
    /// <param name="end">That exception.</param>
    public ValueTask CloseAsync(Exception? end = null)
    {
        if (_disposal is not null)
        {
            return new ValueTask(_disposal);
        }

        var reason = _transport.Input.ResetSeen ? CloseReason.PeerReset : CloseReason.HandlerCompleted;
        return CloseAsync(reason, EndKind(isFault: end is not null), end);
    }

    /// <summary>Closes after the handler threw.</summary>
    public ValueTask CloseFaultedAsync(Exception exception)
    {
        if (_disposal is not null)
        {
            return new ValueTask(_disposal);
        }

        // By that exception a handler learns that the application aborted the connection under it.
        var reason = exception is ConnectionAbortedException ? CloseReason.Application : CloseReason.HandlerFaulted;

        // One that has closed gracefully inside of TLS was told to, although its handler threw.
        var end = EndKind(isFault: true);
        if (end == LeftOver.Send && _inner is not { State: CloseState.Closed })
        {
            end = _scope.Options.AbortOnHandlerFault ? LeftOver.SendThenReset
                : _isInsideTls && !_transport.IsLeftToServer ? LeftOver.SendThenClose
                : end;
        }

        // No goodbye: nobody knows in the middle of what it threw.
        return CloseAsync(reason, end, exception, saysGoodbye: false);
    }

    /// <summary>The handler disposes its connection: it ends as that of one that returns, although the handler goes on.</summary>
    public void DisposeByHandler() => _disposal ??= CloseAsync(CloseReason.HandlerCompleted, EndKind(isFault: false), null).AsTask();

    /// <summary>The server closes the socket by FIN itself.</summary>
    public void OnClosingByServer() => _closer.OnClosingByServer();

    /// <summary>
    /// Returns whether <paramref name="exception"/> is how the handler was told that its connection has ended, so that it is no
    /// fault of the handler's and a normal return.
    /// </summary>
    public bool IsEndOfConnection(Exception exception)
    {
        var input = _transport.Input;
        if (IsCloseRequested && ExceptionChain.Contains(exception, static inner => inner is OperationCanceledException))
        {
            return true;
        }

        if (input.EndHanded && ExceptionChain.IsOrHolds<EndOfStreamException>(exception))
        {
            return true;
        }

        return (input.ResetSeen || _closer.State == CloseState.Aborted)
            && ExceptionChain.Contains(
                exception,
                inner => inner is ConnectionResetException or ConnectionAbortedException
                    || ReferenceEquals(inner, input.ResetException));
    }

    // A part is known to be missing: nothing may look like a complete end.
    private LeftOver EndKind(bool isFault) =>
        _transport.Input.IsCutOff || (isFault && _closer.HasOpenScope) ? LeftOver.SendThenReset : LeftOver.Send;

    private ValueTask CloseAsync(CloseReason reason, LeftOver leftOver, Exception? fault, bool saysGoodbye = true)
    {
        _handlerReturned = true;
        _closer.OnHandlerReturned(reason, _inner?._closer, leftOver == LeftOver.SendThenReset ? fault : null);
        _limits?.Stop();
        if (_goodbye is null || !saysGoodbye || !IsCloseRequested)
        {
            return _closer.CloseAsync(leftOver);
        }

        if (!IsAroundTls)
        {
            return CloseWithGoodbyeAsync(_goodbye, leftOver);
        }

        if (_inner is null)
        {
            Log.GoodbyeOutsideTls(_scope.Logger, _connection.ConnectionId); // Here it would be plaintext.
        }

        return _closer.CloseAsync(leftOver);
    }

    public override TrackedConnectionInfo GetInfo()
    {
        var time = _tracking!.Drain.Time;
        var (transport, activity) = _inner is null ? (_transport, _activity) : (_inner._transport, _inner._activity);
        var isBusy = IsBusy;
        var lastByteAt = activity.LastByteAt;
        var age = time.GetElapsedTime(StartTimestamp);
        var written = transport.Output.WrittenBytes;
        var delivery = written > 0
            ? transport.Output.GetDelivery()
            : new DeliveryStatus(0, IsDelivered: false, IsReset: false, 0); // Nothing to ask the kernel for.
        return new TrackedConnectionInfo
        {
            ConnectionId = _connection.ConnectionId,
            LocalEndPoint = _connection.LocalEndPoint,
            RemoteEndPoint = _connection.RemoteEndPoint,
            State = _inner is { State: not (CloseState.Closed or CloseState.Aborted) and var state } ? state : State,
            IsCloseRequested = IsCloseRequested,
            IsBusy = isBusy,
            Age = age,
            BusyTime = !isBusy ? TimeSpan.Zero : activity.BusySince is > 0 and var busySince ? time.GetElapsedTime(busySince) : age,
            IdleTime = lastByteAt > 0 ? time.GetElapsedTime(lastByteAt) : age,
            ReceivedBytes = transport.Input.ReceivedBytes,
            WrittenBytes = written,
            UnacknowledgedBytes = delivery.UnacknowledgedBytes,
            IsPeerWindowClosed = delivery.IsWindowClosed,
        };
    }

    // On the thread pool: the callbacks of the token are the application's, and thousands of others wait for their turn.
    public override void Ask(CloseReason reason, TimeSpan lingerCap)
    {
        _closer.CapLinger(lingerCap);
        ThreadPool.UnsafeQueueUserWorkItem(static state => state.connection.RequestClose(state.reason), (connection: this, reason), preferLocal: false);
    }

    public override void Abort(CloseReason reason) =>
        ThreadPool.UnsafeQueueUserWorkItem(static state => state.connection.RequestClose(state.reason, abort: true), (connection: this, reason), preferLocal: false);

    public override void Abandon()
    {
        _tracking!.IsAbandoned = true;
        _tracking.Run?.Abandon();
    }

    /// <summary>Runs the handler so that it can be abandoned, and waits until it has ended or was.</summary>
    public ValueTask RunAsync(ConnectionDelegate next)
    {
        var run = new HandlerRun(next, Context);
        _tracking!.Run = run;
        if (_tracking.IsAbandoned)
        {
            run.Abandon();
        }

        return run.RunAsync();
    }

    /// <summary>Closes after the handler was abandoned. What it wrote to stays out of the memory pool.</summary>
    public ValueTask CloseAbandonedAsync()
    {
        _closer.OnHandlerReturned(CloseReason.HostStopping);
        _limits?.Stop();
        _closer.Abort();
        return _disposal is null ? _closer.CloseAsync(LeftOver.Abandon) : new ValueTask(_disposal);
    }

    public void Dispose()
    {
        var result = _closer.Result ?? new CloseResult(CloseReason.HandlerFaulted, CloseOutcome.Aborted, TimeSpan.Zero, 0, null);

        if (_outer is null)
        {
            // The outcome goes with what the server itself reports of the connection.
            _connection.Features.Get<IConnectionMetricsTagsFeature>()?.Tags.Add(
                new KeyValuePair<string, object?>(GracefulMetrics.OutcomeTag, GracefulMetrics.Tag(result.Outcome)));
        }
        else
        {
            _connection.Features.Set<IGracefulCloseFeature>(_outer);
        }

        _limits?.Stop();
        _serverRequest.Dispose();
        _connection.Transport = _originalTransport;
        if (_halfOpen is not null)
        {
            _halfOpen.InputEnded.Dispose();
            _connection.ConnectionClosed = _halfOpen.OriginalClosed;
        }

        _connection.Features.Set(_originalNotification);
        if (_originalHeartbeat is not null)
        {
            _connection.Features.Set(_originalHeartbeat);
        }

        _tracking?.Drain.Remove(this, result);
    }

    private void OnServerRequest()
    {
        if (_tracking is null)
        {
            RequestClose(_outer?._closer.Reason ?? CloseReason.HostStopping);
        }
        else
        {
            _tracking.Drain.OnServerRequest(this);
        }
    }

    private async ValueTask CloseWithGoodbyeAsync(
        Func<ConnectionContext, CloseReason, CancellationToken, ValueTask> goodbye, LeftOver leftOver)
    {
        await _closer.SayGoodbyeAsync(SayAsync).ConfigureAwait(false);
        await _closer.CloseAsync(leftOver).ConfigureAwait(false);

        async ValueTask SayAsync(CloseReason reason, CancellationToken cancellationToken)
        {
            if (_tracking is not null)
            {
                await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding); // As the handler: one that blocks its thread must not hold a host that stops.
                if (cancellationToken.IsCancellationRequested)
                {
                    return; // No thread was free for it before its time was up.
                }
            }

            await goodbye(Context, reason, cancellationToken).ConfigureAwait(false);
        }
    }

    private bool IsOver() => _transport.Probe?.IsOver(_transport.Output.GetDelivery().IsDelivered) ?? true;

    // Kestrel's token fires when its receive loop ends: on the peer's FIN, which is not the end here, and on everything that is.
    private void SignalIfOver()
    {
        if (IsOver())
        {
            SignalOver();
        }
    }

    // What nobody else notices: a reset behind the peer's FIN, and one behind bytes that the handler does not read, so that the transport does not receive either.
    private bool NoticeEnd()
    {
        if (_transport.Probe?.HasUnnoticedReset() == true)
        {
            _closer.OnFaulted(new ConnectionResetException("The peer reset the connection while nothing was read or sent.")); // Signals as well.
            return true;
        }

        if (!_halfOpen!.OriginalClosed.IsCancellationRequested || !IsOver())
        {
            return false;
        }

        SignalOver();
        return true;
    }

    // On the thread pool: the callbacks are the application's.
    private void SignalOver() => ThreadPool.UnsafeQueueUserWorkItem(static connection => connection.CancelOver(), this, preferLocal: false);

    private void CancelOver()
    {
        try
        {
            _halfOpen!.Over.Cancel();
        }
        catch (AggregateException exception)
        {
            Log.CloseRequestCallbackFaulted(_scope.Logger, _connection.ConnectionId, exception);
        }
    }

    // Only with a drain: what it needs to know of the connection, and the handler that it can abandon.
    private sealed class Tracking(DrainCoordinator drain)
    {
        private volatile HandlerRun? _run;
        private volatile bool _isAbandoned;

        public DrainCoordinator Drain { get; } = drain;

        public HandlerRun? Run
        {
            get => _run;
            set => _run = value;
        }

        public bool IsAbandoned
        {
            get => _isAbandoned;
            set => _isAbandoned = value;
        }
    }

    // Only with AllowHalfOpen: the token by which the connection is over, in front of the server's own.
    private sealed class HalfOpen(CancellationToken originalClosed)
    {
        public CancellationToken OriginalClosed { get; } = originalClosed;

        public CancellationTokenSource Over { get; } = new();

        public CancellationTokenRegistration InputEnded { get; set; }
    }

    // Only where the handler asked for the server's heartbeat.
    private sealed class HandlersHeartbeat(GracefulConnection connection, Action<object> action, object state)
    {
        public void Tick()
        {
            if (!connection._handlerReturned)
            {
                action(state);
            }
        }
    }
}
