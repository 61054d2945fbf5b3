using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Pipeline;

/// <content>How the connection is given back to who stands before, and when.</content>
internal sealed partial class GracefulConnection
{
    private bool _closesLater;

    /// <summary>
    /// Leaves the connection open for the middlewares before this one, which go on now: they may read, write or abort
    /// as on stock. What the handler wrote is sent before, because they may write past us.
    /// </summary>
    /// <returns>Whether the close is to come later; if not, it is to come now.</returns>
    public async ValueTask<bool> TryLeaveOpenAsync()
    {
        if (_isInsideTls || Output is not SendLoop || LeftToServer != LeftToServerReason.None || !IsOpen())
        {
            return false; // Inside of TLS, which ends itself when we return.
        }

        _isAware = true; // Nobody cancels their reads.
        Closer.KeepInput();
        if (Output.UnflushedBytes > 0 && !Output.IsWriteBlocked)
        {
            _ = Output.FlushAsync().AsTask().ContinueWith(static flush => flush.Exception, TaskScheduler.Default);
        }

        var (sent, sentAt) = (Output.SentBytes, Scope.Wheel.Now);
        for (var poll = CloseDeadlines.ShortestPoll; Output.HasUnsent && IsOpen(); poll += poll)
        {
            poll = poll < CloseDeadlines.LongestPoll ? poll : CloseDeadlines.LongestPoll;
            await Task.Delay(poll, Scope.Time).ConfigureAwait(false); // Nothing tells when everything was sent.
            var (before, now) = (sent, Scope.Wheel.Now);
            sent = Output.SentBytes;
            if (sent == before && now - sentAt >= CloseDeadlines.Grace)
            {
                return false; // The close has a limit for a peer that takes nothing.
            }

            sentAt = sent == before ? sentAt : now;
        }

        return _closesLater = IsOpen();

        bool IsOpen() => State is CloseState.Open or CloseState.HalfClosed;
    }

    /// <summary>Closes what was left open.</summary>
    public async Task CloseLeftAsync(Exception? end, bool isFault)
    {
        _closesLater = false;
        await SendEarlierAsync().ConfigureAwait(false);
        await CloseAsync(end, isFault).ConfigureAwait(false);
    }

    /// <summary>Takes everything out again, unless the close is left for later.</summary>
    public void Dispose()
    {
        if (_closesLater)
        {
            return;
        }

        var result = Closer.Result
            ?? new CloseResult { Reason = CloseReason.HandlerFaulted, Outcome = CloseOutcome.Aborted };
        if (Outer is null)
        {
            // The outcome goes with what the server itself reports of the connection.
            _connection.Features.Get<IConnectionMetricsTagsFeature>()?.Tags.Add(
                new KeyValuePair<string, object?>(GracefulTelemetry.OutcomeTag, GracefulMetrics.Tag(result.Outcome)));
        }
        else
        {
            _connection.Features.Set<IGracefulCloseFeature>(Outer);
        }

        _rare?.Limits?.Stop();
        _serverRequest.Dispose();
        _connection.Transport = _originalTransport;
        _rare?.HalfOpen?.Restore();
        _connection.Features.Set(_originalNotification);
        if (_originalHeartbeat is not null)
        {
            _connection.Features.Set(_originalHeartbeat);
        }

        Member?.Leave(result);
    }
}
