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
/// One connection as its handler sees it: the library's two directions in place of the transport's, the close feature,
/// and the lifetime notification in front of the server's own. All of it is taken out again at the end.
/// </summary>
internal sealed partial class GracefulConnection
    : ConnectionContext,
        IGracefulCloseFeature,
        IConnectionLifetimeFeature,
        IConnectionLifetimeNotificationFeature,
        IConnectionHeartbeatFeature,
        IDuplexPipe,
        IDisposable
{
    private readonly ConnectionContext _connection;
    private readonly IDuplexPipe _originalTransport;
    private readonly IConnectionLifetimeFeature? _originalLifetime;
    private readonly IConnectionLifetimeNotificationFeature? _originalNotification;
    private readonly IConnectionHeartbeatFeature? _originalHeartbeat;
    private readonly LeftToServerReason _leftAtStart;
    private readonly CancellationTokenRegistration _serverRequest;
    private readonly bool _isInsideTls;
    private readonly bool _hasForeignBefore;
    private CancellationTokenSource? _closeRequest; // Most handlers never need it.
    private Rarity? _rare;
    private GracefulConnection? _partner; // On the other side of TLS.
    private volatile bool _isAware;
    private volatile bool _isHandlerOver;

    /// <exception cref="InvalidOperationException">
    /// Another one closes the connection, and there is no TLS between, so that both would have the same part.
    /// </exception>
    public GracefulConnection(
        ConnectionContext connection, CloseScope scope, DrainCoordinator? drain, MiddlewareOrder order = default)
    {
        var outer = FindOuter(connection);
        _connection = connection;
        _hasForeignBefore = order.HasForeignBefore;
        _isAware = order.HasGraceful; // The one inside sees the messages, and passes a close request on.
        _originalTransport = connection.Transport;
        _originalNotification = connection.Find<IConnectionLifetimeNotificationFeature>();
        var halfOpen = scope.Options.AllowHalfOpen ? Rare.HalfOpen = new HalfOpenToken(connection, scope) : null;
        Closer = new Closer(connection, scope, outer?.Closer);
        if (halfOpen is not null)
        {
            Closer.OnOver(halfOpen.Signal);
        }

        var transport = ConnectionTransport.Create(
            connection, Closer, order.HasSomebodyBefore, order.HasSomebodyBehindTls);
        (_leftAtStart, _isInsideTls) = (transport.ReasonAtStart, transport.IsInsideTls);
        IsTls = _isInsideTls || order.HasTls;
        Closer.Attach(transport.Input, transport.Output);

        TrySetTransport(this);
        connection.Put<IGracefulCloseFeature>(this);
        connection.Put<IConnectionLifetimeNotificationFeature>(this);
        _originalLifetime = connection.Find<IConnectionLifetimeFeature>();
        if (_originalLifetime is not null)
        {
            connection.Put<IConnectionLifetimeFeature>(this);
        }

        _originalHeartbeat = connection.Find<IConnectionHeartbeatFeature>();
        if (_originalHeartbeat is not null)
        {
            connection.Put<IConnectionHeartbeatFeature>(this);
        }

        if (outer is null)
        {
            Closer.IsCounted = scope.Metrics.Opened(connection);
            if (drain is not null)
            {
                // A drain counts the outer connection only. One that the server made has brought its drain.
                var isOutgoing = connection.Find<DrainCoordinator>() is not null;
                Member = new DrainMember(this, drain) { IsOutgoing = isOutgoing };
            }
        }
        else
        {
            (_partner, outer._partner) = (outer, this);
            if (outer.Closer.Facts.LingerCap is { } cap)
            {
                Closer.CapLinger(cap); // A drain had begun before there was a partner to tell.
            }
        }

        halfOpen?.Attach(transport, Closer);
        if (LifetimeLimits.IsNeeded(scope.Options))
        {
            Rare.Limits = new LifetimeLimits(
                connection.ConnectionId,
                scope,
                transport,
                RequestClose,
                halfOpen is null ? null : halfOpen.NoticeEnd);
            Rare.Limits.Start();
        }

        // Last: a drain that has begun, or a server that is stopping, asks right here.
        Member?.Enter();
        _serverRequest = _originalNotification?.ConnectionClosedRequested.UnsafeRegister(
            static state => ((GracefulConnection)state!).OnServerRequest(), this) ?? default;
    }

    PipeReader IDuplexPipe.Input => Input;

    PipeWriter IDuplexPipe.Output => Output;

    public ReadPump Input => Closer.Input;

    public TransportOutput Output => Closer.Output;

    public CloseState State => Closer.State;

    public Closer Closer { get; }

    public ref Activity Activity => ref Closer.Activity;

    /// <summary>Gets the connection as the drain knows it; <see langword="null"/> where no drain does.</summary>
    public DrainMember? Member { get; }

    /// <summary>Gets the one that closes TLS inside of this one, once there is one.</summary>
    public GracefulConnection? Inner => _isInsideTls ? null : _partner;

    public Task<CloseResult> Closed => Closer.Closed;

    public CloseScope Scope => Closer.Scope;

    /// <summary>
    /// Gets why nothing is taken over from the server, if it is so. The first send may find a reason.
    /// </summary>
    public LeftToServerReason LeftToServer => ConnectionTransport.GetReason(_leftAtStart, Output);

    /// <summary>
    /// Gets whether TLS was put on top of this connection. Then only TLS may write here, because anybody else's bytes
    /// would be plaintext.
    /// </summary>
    public bool IsAroundTls => !_isInsideTls && _connection.Find<SslStream>() is not null;

    /// <summary>Gets whether TLS ended without anybody who could send close_notify.</summary>
    public bool LacksCloseNotify => Inner is null && IsAroundTls;

    public bool IsCloseRequested => Closer.IsCloseRequested;

    public CancellationToken CloseRequested => CloseRequestSource.Token;

    public object? Tag
    {
        get => Outer is null ? _rare?.Tag : Outer.Tag;
        set
        {
            if (Outer is null)
            {
                Rare.Tag = value;
            }
            else
            {
                Outer.Tag = value; // One connection has one tag, inside of TLS and outside.
            }
        }
    }

    /// <summary>Gets what stands before one that closes TLS inside of this one.</summary>
    public MiddlewareOrder InnerOrder => new() { HasForeignBefore = _hasForeignBefore };

    /// <summary>Gets whether the connection is known to be encrypted.</summary>
    public bool IsTls { get; }

    /// <summary>Gets whether the handler listens to a token, so that its reads do not tell when it is idle.</summary>
    public bool IsAware => _isAware;

    private GracefulConnection? Outer => _isInsideTls ? _partner : null;

    private CancellationTokenSource CloseRequestSource => LazyInitializer.EnsureInitialized(ref _closeRequest);

    CancellationToken IConnectionLifetimeNotificationFeature.ConnectionClosedRequested
    {
        get
        {
            if (!_isAware)
            {
                _isAware = true; // It is told, and trusted to end: its reads will not be cancelled.
                Closer.KeepInput();
            }

            return (CancellationToken?)_rare?.NotificationOverride ?? CloseRequested;
        }
        set => Rare.NotificationOverride = value;
    }

    // For as long as the handler runs. Kestrel's HTTP goes on timing its response after it has returned, and would
    // abort a peer that needs longer than that for the rest of its upload.
    void IConnectionHeartbeatFeature.OnHeartbeat(Action<object> action, object state) =>
        _originalHeartbeat!.OnHeartbeat(
            beat =>
            {
                if (!_isHandlerOver && !_isHandlerBack)
                {
                    action(beat);
                }
            },
            state);

    public MessageScope BeginMessage() => new(new MessageScopeState(Closer));

    /// <inheritdoc/>
    public void RequestClose() => RequestClose(CloseReason.Application);

    public void RequestClose(CloseReason reason) => RequestClose(reason, abort: false);

    public void RequestClose(CloseReason reason, bool abort, bool isLimit = false)
    {
        var isFirst = Closer.TryRequestClose(reason);
        if (abort)
        {
            Closer.Abort(isLimit); // Before the callbacks, which are the application's and may take their time.
        }

        if (!isFirst)
        {
            return;
        }

        if (abort)
        {
            // On another thread, because a drain aborts thousands on its own.
            ThreadPool.UnsafeQueueUserWorkItem(
                static state => state.connection.TellRequest(state.reason),
                (connection: this, reason),
                preferLocal: false);
        }
        else
        {
            TellRequest(reason);
        }
    }

    private void TellRequest(CloseReason reason)
    {
        if (Outer is not { IsCloseRequested: true })
        {
            Log.CloseRequested(Scope.Logger, _connection.ConnectionId, reason);
        }

        try
        {
            CloseRequestSource.Cancel();
        }
        catch (AggregateException exception)
        {
            // One connection's callback must not keep a stopping server from asking the others.
            Log.CloseRequestCallbackFaulted(Scope.Logger, _connection.ConnectionId, exception);
        }

        if (Scope.Options.CancelReadOnCloseRequest && !_isAware)
        {
            Closer.CancelRead(CloseRequested);
        }
    }

    private void OnServerRequest()
    {
        Closer.OnServerStopping();
        if (Member is not null)
        {
            Member.OnServerRequest();
            return;
        }

        var outer = Outer?.Closer.Reason ?? CloseReason.None;
        RequestClose(outer == CloseReason.None ? CloseReason.HostStopping : outer);
    }
}
