using System.IO.Pipelines;
using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Pipeline;

/// <content>How the connection is given back to who stands before, and when.</content>
internal sealed partial class GracefulConnection
{
    private bool _closesLater;
    private bool _isToldOfReturn; // By the server, of that of the outermost middleware.
    private bool _isRestored;
    private volatile bool _isHandlerBack; // It has returned, and the close may still be to come.

    /// <summary>
    /// Gets whether the close may wait for the middlewares before this one. Inside of TLS it may not, because TLS ends
    /// itself when we return.
    /// </summary>
    public bool MayCloseLater =>
        !_isInsideTls && Output is SendLoop && LeftToServer == LeftToServerReason.None && IsOpen;

    private bool IsOpen => State is CloseState.Open or CloseState.HalfClosed;

    /// <summary>
    /// Asks the server to tell when all middlewares have returned. One before this one may return while the handler
    /// runs, for example at a limit of time, and then the server disposes the connection and all that is not sent. So
    /// the connection is closed then as if the handler had returned.
    /// </summary>
    public void BeToldOfReturn()
    {
        if (!_isToldOfReturn && _connection.Find<IConnectionCompleteFeature>() is { } completion)
        {
            TryBeToldOfReturn(completion);
        }
    }

    /// <summary>
    /// Takes a connection up again whose handler has returned, and whose close is to come: a middleware may run the
    /// handler once for each message, or again after it failed.
    /// </summary>
    public static GracefulConnection? TryResume(ConnectionContext connection)
    {
        if (connection.Find<IGracefulCloseFeature>() is not GracefulConnection { _hasForeignBefore: true } left
            || Interlocked.Exchange(ref left.Rare.LeftClose, null) is null)
        {
            return null;
        }

        left.Resume();
        return left;
    }

    /// <summary>The handler has returned, whatever is to come.</summary>
    public void OnHandlerBack() => _isHandlerBack = true;

    /// <summary>
    /// Leaves the connection open for the middlewares before this one, which go on now: they may read, write or abort
    /// as on stock. What the handler wrote is sent before, because they may write past us.
    /// </summary>
    /// <param name="completion">Where the server tells that all of them have returned.</param>
    /// <param name="close">The close that is to come then.</param>
    /// <returns><see langword="false"/> if the close is to come now.</returns>
    public async ValueTask<bool> TryCloseLaterAsync(IConnectionCompleteFeature completion, Func<Task> close)
    {
        ((SendLoop)Output).Push();
        if (!await WaitAsync(() => !Output.HasUnsent || !IsOpen, CloseDeadlines.Grace).ConfigureAwait(false) || !IsOpen)
        {
            return false; // The close has a limit for a peer that takes nothing.
        }

        (Rare.WasAware, _isAware) = (_isAware, true); // Nobody cancels their reads.
        Closer.KeepInput();
        _closesLater = true; // First: whoever stands before may not have waited for us, and the callback come at once.
        Interlocked.Exchange(ref Rare.LeftClose, close);
        if (!Rare.HasClosedLater && !TryBeToldOfReturn(completion)) // Also where it was asked before: the answer tells.
        {
            _closesLater = false;
            Interlocked.Exchange(ref Rare.LeftClose, null);
        }

        Rare.HasClosedLater = true;
        return _closesLater;
    }

    /// <summary>Closes what was left open, and takes everything out again.</summary>
    public async Task CloseLeftAsync(Exception? end, bool isFault)
    {
        try
        {
            var earlier = SendEarlierAsync().AsTask();
            if (await WaitAsync(() => earlier.IsCompleted, Scope.Options.FlushStallTimeout).ConfigureAwait(false))
            {
                await earlier.ConfigureAwait(false);
            }
            else
            {
                Closer.Abort(); // What somebody wrote past us is missing, so that no FIN may follow.
            }

            await CloseAsync(end, isFault).ConfigureAwait(false);
        }
        finally
        {
            Restore();
        }
    }

    /// <summary>Takes everything out again, unless the close is left for later.</summary>
    public void Dispose()
    {
        if (!_closesLater)
        {
            Restore();
        }
    }

    /// <summary>Waits for something that nothing tells of, while bytes go on to the peer.</summary>
    /// <returns><see langword="false"/> if they did not for so long.</returns>
    private async ValueTask<bool> WaitAsync(Func<bool> isDone, TimeSpan patience)
    {
        if (isDone())
        {
            return true; // As mostly, and a look at the kernel costs a system call.
        }

        var (progress, since) = (Output.GetDelivery().Progress, Scope.Wheel.Now);
        for (var poll = CloseDeadlines.ShortestPoll; !isDone(); poll += poll)
        {
            poll = poll < CloseDeadlines.LongestPoll ? poll : CloseDeadlines.LongestPoll;
            await Task.Delay(poll, Scope.Time).ConfigureAwait(false);
            var (before, now) = (progress, Scope.Wheel.Now);
            progress = Output.GetDelivery().Progress;
            since = progress == before ? since : now;
            if (now >= TimerWheel.Add(since, patience))
            {
                return false;
            }
        }

        return true;
    }

    private void Resume()
    {
        (_closesLater, _isHandlerBack, _isAware) = (false, false, Rare.WasAware);
        (Rare.Goodbye, Rare.End) = (null, null); // Those of the handler that has returned.
        Input.OnResumed();
        if (IsCloseRequested && Scope.Options.CancelReadOnCloseRequest && !_isAware)
        {
            Closer.CancelRead(CloseRequested);
        }
    }

    // The connection that this one is closed around. One whose end was left to the server is over and has left nothing
    // behind, so that it is as if it had never been.
    private static GracefulConnection? FindOuter(ConnectionContext connection)
    {
        var found = connection.Find<IGracefulCloseFeature>() as GracefulConnection;
        return found switch
        {
            null or { _isRestored: true, Closer.Result.Outcome: CloseOutcome.LeftToServer } => null,
            { IsAroundTls: true } => found,
            { _hasForeignBefore: true, _isHandlerOver: true } => throw new InvalidOperationException(
                $"The connection {connection.ConnectionId} has ended: a middleware called next before, and "
                + "UseGracefulShutdown() had to close the connection then. Call it once for such a connection."),
            _ => throw new InvalidOperationException(
                $"The connection {connection.ConnectionId} is closed by UseGracefulShutdown() or RunGracefullyAsync() "
                + $"already. {MiddlewareOrder.Advice}"),
        };
    }

    // False if they have returned already.
    private bool TryBeToldOfReturn(IConnectionCompleteFeature completion)
    {
        _isToldOfReturn = true;
        try
        {
            completion.OnCompleted(
                static connection => ((GracefulConnection)connection).Rare.Ending ??=
                    ((GracefulConnection)connection).EndByReturnAsync(),
                this);
            return true;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private async Task EndByReturnAsync()
    {
        // Without a drain the handler has come to its first await when the middleware goes on.
        await WaitAsync(() => Member is not { HasPaused: false } || !IsOpen, TimeSpan.MaxValue).ConfigureAwait(false);
        var left = Interlocked.Exchange(ref Rare.LeftClose, null);
        await (left?.Invoke() ?? CloseLeftAsync(end: null, isFault: false)).ConfigureAwait(false);
    }

    // A middleware may give on a connection whose transport is fixed. Then nobody uses ours.
    private void TrySetTransport(IDuplexPipe transport)
    {
        try
        {
            _connection.Transport = transport;
        }
        catch (NotSupportedException)
        {
        }
    }

    private void Restore()
    {
        if (Interlocked.Exchange(ref _isRestored, true))
        {
            return; // By the server's call, while the handler ran.
        }

        var result = Closer.Result
            ?? new CloseResult { Reason = CloseReason.HandlerFaulted, Outcome = CloseOutcome.Aborted };
        if (Outer is null)
        {
            // The outcome goes with what the server itself reports of the connection.
            _connection.Find<IConnectionMetricsTagsFeature>()?.Tags.Add(
                new KeyValuePair<string, object?>(GracefulTelemetry.OutcomeTag, GracefulMetrics.Tag(result.Outcome)));
        }
        else
        {
            _connection.Put<IGracefulCloseFeature>(Outer);
        }

        _rare?.Limits?.Stop();
        _serverRequest.Dispose();
        if (_isHandlerBack)
        {
            TrySetTransport(_originalTransport); // Else the handler would write behind our FIN.
        }

        _rare?.HalfOpen?.Restore();
        _connection.Put(_originalNotification);
        if (_originalLifetime is not null)
        {
            _connection.Put(_originalLifetime);
        }

        if (_originalHeartbeat is not null)
        {
            _connection.Put(_originalHeartbeat);
        }

        Member?.Leave(result);
    }
}
