using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <summary>Every message of the library. An id is for life.</summary>
internal static partial class Log
{
    public const string Category = GracefulTelemetry.LogCategory;

    [LoggerMessage(
        1,
        LogLevel.Debug,
        @"Connection id ""{ConnectionId}"" was asked to close: {Reason}.",
        EventName = nameof(CloseRequested))]
    public static partial void CloseRequested(ILogger logger, string connectionId, CloseReason reason);

    [LoggerMessage(
        2,
        LogLevel.Debug,
        @"Connection id ""{ConnectionId}"" is closing: {Reason}.",
        EventName = nameof(Closing))]
    public static partial void Closing(ILogger logger, string connectionId, CloseReason reason);

    [LoggerMessage(
        3,
        LogLevel.Debug,
        @"Connection id ""{ConnectionId}"" closed: {Outcome} ({Reason}) after {ElapsedMs} ms, "
        + "{DiscardedBytes} bytes discarded, {UnacknowledgedBytes} bytes unacknowledged.",
        EventName = nameof(Closed))]
    public static partial void Closed(
        ILogger logger,
        string connectionId,
        CloseOutcome outcome,
        CloseReason reason,
        double elapsedMs,
        long discardedBytes,
        long? unacknowledgedBytes);

    [LoggerMessage(
        EventId = 4,
        Message = @"Connection id ""{ConnectionId}"": reading or sending ended with an error.",
        EventName = nameof(TransportFaulted))]
    public static partial void TransportFaulted(
        ILogger logger, string connectionId, LogLevel level, Exception exception);

    [LoggerMessage(
        EventId = 5,
        Message = @"Connection id ""{ConnectionId}"": the handler ended because the connection did.",
        EventName = nameof(HandlerEndedWithConnection))]
    public static partial void HandlerEndedWithConnection(
        ILogger logger, string connectionId, LogLevel level, Exception exception);

    [LoggerMessage(
        6,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": the goodbye did not end within {TimeoutMs} ms. The close "
        + "goes on without it.",
        EventName = nameof(GoodbyeTimedOut))]
    public static partial void GoodbyeTimedOut(ILogger logger, string connectionId, double timeoutMs);

    [LoggerMessage(
        7,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": the goodbye threw. The close goes on without it.",
        EventName = nameof(GoodbyeFaulted))]
    public static partial void GoodbyeFaulted(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(
        8,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": a callback of a close-request token threw.",
        EventName = nameof(CloseRequestCallbackFaulted))]
    public static partial void CloseRequestCallbackFaulted(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(
        9,
        LogLevel.Warning,
        "Another middleware stands between an endpoint's transport and UseGracefulShutdown(), so nothing is taken over "
        + "there: the server itself closes both directions once the kernel's send queue is empty, and output can be "
        + "lost as without the library. Call UseGracefulShutdown() first, before every other middleware, or directly "
        + "after UseHttps().",
        EventName = nameof(TransportIsWrapped))]
    public static partial void TransportIsWrapped(ILogger logger);

    [LoggerMessage(
        19,
        LogLevel.Information,
        "HostOptions.ShutdownTimeout was raised from {ShutdownTimeoutSeconds} s, which the drain does "
        + "not fit into: {Sum}.",
        EventName = nameof(ShutdownTimeoutRaised))]
    public static partial void ShutdownTimeoutRaised(ILogger logger, double shutdownTimeoutSeconds, string sum);

    [LoggerMessage(
        20,
        LogLevel.Warning,
        "The drain does not fit into {Variable}, {GracePeriodSeconds} s, after which the process is "
        + "killed: {Sum}. Raise the grace period, or lower DrainTimeout or AnnounceDelay.",
        EventName = nameof(GracePeriodTooShort))]
    public static partial void GracePeriodTooShort(
        ILogger logger, string variable, double gracePeriodSeconds, string sum);

    [LoggerMessage(
        21,
        LogLevel.Warning,
        @"{Variable} must be a number of seconds above zero, but was ""{Value}"". Whether the drain fits "
        + "into it is not checked.",
        EventName = nameof(GracePeriodUnreadable))]
    public static partial void GracePeriodUnreadable(ILogger logger, string variable, string value);

    [LoggerMessage(
        22,
        LogLevel.Debug,
        "The service manager behind {Variable} could not be told how far the drain is.",
        EventName = nameof(NotifyFailed))]
    public static partial void NotifyFailed(ILogger logger, string variable, Exception exception);

    [LoggerMessage(
        23,
        LogLevel.Information,
        "UseGracefulShutdown() was called before UseHttps(): the TCP close is graceful, but TLS has "
        + "ended by then and no close_notify is sent, so peers may report an unexpected end. HTTP does "
        + "without it; for other protocols call UseGracefulShutdown() after UseHttps() instead, or on "
        + "both sides of it.",
        EventName = nameof(TlsIsInside))]
    public static partial void TlsIsInside(ILogger logger);

    [LoggerMessage(
        24,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": the goodbye was not said, because UseGracefulShutdown() was "
        + "called before UseHttps() and TLS has ended by then. Call it after UseHttps().",
        EventName = nameof(GoodbyeOutsideTls))]
    public static partial void GoodbyeOutsideTls(ILogger logger, string connectionId);

    [LoggerMessage(
        25,
        LogLevel.Debug,
        @"Connection id ""{ConnectionId}"": the output was completed with an exception. What was flushed is sent, "
        + "then RST; inside of TLS and over HTTP the server ends the connection.",
        EventName = nameof(OutputFaulted))]
    public static partial void OutputFaulted(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(
        26,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": {ElapsedMs} ms after the handler returned, a read or a write of another "
        + "middleware's stream had not ended although it was cancelled. The server goes on without it.",
        EventName = nameof(TransportNotLeft))]
    public static partial void TransportNotLeft(ILogger logger, string connectionId, double elapsedMs);

    [LoggerMessage(
        27,
        LogLevel.Warning,
        "A middleware before UseGracefulShutdown() has written to a connection. To keep its bytes in order, the output "
        + "stays in the server's own pipe, and the server itself closes both directions once the kernel's send queue "
        + "is empty. "
        + "Call UseGracefulShutdown() first, before every middleware that writes.",
        EventName = nameof(WrittenBefore))]
    public static partial void WrittenBefore(ILogger logger);

    [LoggerMessage(
        28,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": {LostBytes} bytes of output may not have reached the peer ({Peer}): "
        + "{Outcome} ({Reason}). {LeftOutCount} more connections of the endpoint lost output since the last such "
        + "message.",
        EventName = nameof(OutputLost))]
    public static partial void OutputLost(
        ILogger logger,
        string connectionId,
        long lostBytes,
        string peer,
        CloseOutcome outcome,
        CloseReason reason,
        int leftOutCount);

    [LoggerMessage(
        29,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": its transport or a middleware below threw while the connection was ended. "
        + "It ends without that step.",
        EventName = nameof(TransportThrew))]
    public static partial void TransportThrew(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(
        30,
        LogLevel.Error,
        @"Connection id ""{ConnectionId}"": a look at its deadlines threw. It is aborted or asked to close.",
        EventName = nameof(LookFailed))]
    public static partial void LookFailed(ILogger logger, string connectionId, Exception exception);

    [LoggerMessage(
        31,
        LogLevel.Warning,
        "A listener of the metrics or the traces of GracefulConnections threw, so what it shows may be wrong from now "
        + "on. This is logged once.",
        EventName = nameof(MeterListenerThrew))]
    public static partial void MeterListenerThrew(ILogger logger, Exception exception);

    [LoggerMessage(
        32,
        LogLevel.Information,
        "The configuration behind {Options} was reloaded. The drain keeps the options that it had at the start, and an "
        + "endpoint those with which it was bound, so restart the host to apply changes. This is logged once.",
        EventName = nameof(ConfigurationReloaded))]
    public static partial void ConfigurationReloaded(ILogger logger, string options);

    [LoggerMessage(
        33,
        LogLevel.Warning,
        "The configuration behind {Options} was reloaded with values that are refused, so new connections go on with "
        + "those before: {Error} Mend the configuration and reload it.",
        EventName = nameof(OptionsKept))]
    public static partial void OptionsKept(ILogger logger, string options, string error);
}
