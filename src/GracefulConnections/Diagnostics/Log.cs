using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>Every message of the library. An id is for life.</summary>
internal static partial class Log
{
    public const string Category = "GracefulConnections";

    [LoggerMessage(1, LogLevel.Debug, @"Connection id ""{ConnectionId}"" was asked to close: {Reason}.", EventName = nameof(CloseRequested))]
    public static partial void CloseRequested(ILogger logger, string connectionId, CloseReason reason);

    [LoggerMessage(2, LogLevel.Debug, @"Connection id ""{ConnectionId}"" is closing: {Reason}.", EventName = nameof(Closing))]
    public static partial void Closing(ILogger logger, string connectionId, CloseReason reason);

    [LoggerMessage(3, LogLevel.Debug, @"Connection id ""{ConnectionId}"" closed: {Outcome} ({Reason}) after {ElapsedMs} ms, {DiscardedBytes} bytes discarded, {UnacknowledgedBytes} bytes unacknowledged.", EventName = nameof(Closed))]
    public static partial void Closed(ILogger logger, string connectionId, CloseOutcome outcome, CloseReason reason, double elapsedMs, long discardedBytes, long? unacknowledgedBytes);

    [LoggerMessage(4, LogLevel.Debug, @"Connection id ""{ConnectionId}"": reading or sending ended with an error.", EventName = nameof(TransportFaulted))]
    public static partial void TransportFaulted(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(5, LogLevel.Debug, @"Connection id ""{ConnectionId}"": the handler ended because the connection did.", EventName = nameof(HandlerEndedWithConnection))]
    public static partial void HandlerEndedWithConnection(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(6, LogLevel.Warning, @"Connection id ""{ConnectionId}"": the goodbye did not end within {TimeoutMs} ms. The close goes on without it.", EventName = nameof(GoodbyeTimedOut))]
    public static partial void GoodbyeTimedOut(ILogger logger, string connectionId, double timeoutMs);

    [LoggerMessage(7, LogLevel.Warning, @"Connection id ""{ConnectionId}"": the goodbye threw. The close goes on without it.", EventName = nameof(GoodbyeFaulted))]
    public static partial void GoodbyeFaulted(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(8, LogLevel.Warning, @"Connection id ""{ConnectionId}"": a callback of a close-request token threw.", EventName = nameof(CloseRequestCallbackFaulted))]
    public static partial void CloseRequestCallbackFaulted(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(9, LogLevel.Warning, @"Another middleware (such as UseHttps) stands between an endpoint's transport and UseGracefulShutdown, so it cannot half-close there: it waits until the peer acknowledged all output, and then the server closes both directions. Call UseGracefulShutdown() before the other middleware to close gracefully.", EventName = nameof(TransportIsWrapped))]
    public static partial void TransportIsWrapped(ILogger logger);
}
