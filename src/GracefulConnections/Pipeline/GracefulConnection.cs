using System.IO.Pipelines;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Pipeline;

/// <summary>
/// One connection as its handler sees it: the transport with our two directions, the close feature, and the lifetime notification that stands in front of the server's own.
/// </summary>
internal sealed class GracefulConnection : IGracefulCloseFeature, IConnectionLifetimeNotificationFeature, IDuplexPipe, IDisposable
{
    private readonly ConnectionContext _connection;
    private readonly CloseScope _scope;
    private readonly IDuplexPipe _originalTransport;
    private readonly IConnectionLifetimeNotificationFeature? _originalNotification;
    private readonly CancellationToken _originalClosed;
    private readonly Closer _closer;
    private readonly ConnectionTransport _transport;
    private readonly CancellationTokenRegistration _serverRequest;
    private readonly LifetimeLimits? _limits;
    private readonly CancellationTokenRegistration _inputEnded;
    private readonly CancellationTokenSource? _over;
    private CancellationTokenSource? _closeRequested;
    private Func<ConnectionContext, CloseReason, CancellationToken, ValueTask>? _goodbye;
    private CancellationToken? _notificationOverride;
    private bool _isRequested;
    private volatile bool _isAware;

    public GracefulConnection(ConnectionContext connection, CloseScope scope)
    {
        _connection = connection;
        _scope = scope;
        _goodbye = scope.Options.Goodbye;
        _originalTransport = connection.Transport;
        _originalNotification = connection.Features.Get<IConnectionLifetimeNotificationFeature>();
        _originalClosed = connection.ConnectionClosed;
        _over = scope.Options.AllowHalfOpen ? new CancellationTokenSource() : null;
        _closer = new Closer(connection, scope, _over is null ? null : SignalOver);
        _transport = ConnectionTransport.Create(connection, _closer);
        _closer.Attach(_transport.Input, _transport.Output);

        connection.Transport = this;
        connection.Features.Set<IGracefulCloseFeature>(this);
        connection.Features.Set<IConnectionLifetimeNotificationFeature>(this);
        scope.Metrics.Opened();

        if (_over is not null)
        {
            connection.ConnectionClosed = _over.Token;
            _inputEnded = _originalClosed.UnsafeRegister(static state => ((GracefulConnection)state!).SignalIfOver(), this);
        }

        if (LifetimeLimits.IsNeeded(scope.Options))
        {
            _limits = new LifetimeLimits(scope, _transport, RequestClose, _over is null ? null : IsOverAfterPeerFin);
            _limits.Start();
        }

        // Last: a server that is stopping already asks right here.
        _serverRequest = _originalNotification?.ConnectionClosedRequested.UnsafeRegister(
            static state => ((GracefulConnection)state!).RequestClose(CloseReason.HostStopping), this) ?? default;
    }

    public PipeReader Input => _transport.Input;

    public PipeWriter Output => _transport.Output;

    public CloseState State => _closer.State;

    public Task<CloseResult> Closed => _closer.Closed;

    public bool IsWrapped => _transport.IsWrapped;

    /// <summary>Gets whether the connection ended under the handler, so that the exception by which it was told is no fault of its own.</summary>
    public bool EndedUnderHandler => _transport.Input.ResetSeen || _closer.State == CloseState.Aborted;

    public bool IsCloseRequested => _closer.IsCloseRequested;

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
                _isAware = true; // It is told, and trusted to end: its input will not be ended for it.
                _closer.KeepInput();
            }

            return _notificationOverride ?? CloseRequested;
        }
        set => _notificationOverride = value;
    }

    void IConnectionLifetimeNotificationFeature.RequestClose() => RequestClose(CloseReason.Application);

    public void RequestClose(CloseReason reason = CloseReason.Application)
    {
        if (reason is not (CloseReason.HostStopping or CloseReason.Drain or CloseReason.IdleTimeout or CloseReason.MaxConnectionAge or CloseReason.Application))
        {
            throw new ArgumentOutOfRangeException(
                nameof(reason), reason, "A close can be requested with HostStopping, Drain, IdleTimeout, MaxConnectionAge or Application; the other reasons are observed, not requested.");
        }

        if (!_closer.TryRequestClose(reason))
        {
            return;
        }

        Log.CloseRequested(_scope.Logger, _connection.ConnectionId, reason);
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

        if (_scope.Options.EndInputOnCloseRequest && !_isAware)
        {
            _closer.EndInput();
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

    /// <summary>Closes after the handler returned.</summary>
    public ValueTask<CloseResult> CloseAsync()
    {
        _closer.OnHandlerReturned(_transport.Input.ResetSeen ? CloseReason.PeerReset : CloseReason.HandlerCompleted);
        _limits?.Stop();
        return _goodbye is not null && IsCloseRequested ? CloseWithGoodbyeAsync(_goodbye) : _closer.CloseAsync(LeftOver.Send);
    }

    /// <summary>Closes after the handler threw.</summary>
    public ValueTask<CloseResult> CloseFaultedAsync(Exception exception)
    {
        // By that exception a handler learns that the application aborted the connection under it.
        _closer.OnHandlerReturned(exception is ConnectionAbortedException ? CloseReason.Application : CloseReason.HandlerFaulted);
        _limits?.Stop();
        if (_scope.Options.AbortOnHandlerFault)
        {
            _closer.Abort();
        }

        return _closer.CloseAsync(LeftOver.Drop);
    }

    /// <summary>Adds the outcome to what the server itself reports of the connection.</summary>
    public void Report(in CloseResult result) =>
        _connection.Features.Get<IConnectionMetricsTagsFeature>()?.Tags.Add(
            new KeyValuePair<string, object?>(GracefulMetrics.OutcomeTag, GracefulMetrics.Tag(result.Outcome)));

    public void Dispose()
    {
        _limits?.Stop();
        _serverRequest.Dispose();
        _inputEnded.Dispose();
        _connection.Transport = _originalTransport;
        if (_over is not null)
        {
            _connection.ConnectionClosed = _originalClosed;
        }

        _connection.Features.Set(_originalNotification);
    }

    private async ValueTask<CloseResult> CloseWithGoodbyeAsync(Func<ConnectionContext, CloseReason, CancellationToken, ValueTask> goodbye)
    {
        var leftOver = await _closer.SayGoodbyeAsync((reason, cancellationToken) => goodbye(_connection, reason, cancellationToken)).ConfigureAwait(false);
        return await _closer.CloseAsync(leftOver).ConfigureAwait(false);
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

    private bool IsOverAfterPeerFin()
    {
        if (!_originalClosed.IsCancellationRequested || !IsOver())
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
            _over!.Cancel();
        }
        catch (AggregateException exception)
        {
            Log.CloseRequestCallbackFaulted(_scope.Logger, _connection.ConnectionId, exception);
        }
    }
}
