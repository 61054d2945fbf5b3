using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <content>What a drain says.</content>
internal static partial class Log
{
    [LoggerMessage(
        10,
        LogLevel.Information,
        "The drain was announced with {ConnectionCount} {ConnectionNoun} and begins in {AnnounceDelaySeconds} s. Until "
        + "then the server accepts and serves as before.",
        EventName = nameof(DrainAnnounced))]
    public static partial void DrainAnnounced(
        ILogger logger, int connectionCount, string connectionNoun, double announceDelaySeconds);

    [LoggerMessage(
        EventId = 11,
        Message = "Draining {ConnectionCount} {ConnectionNoun} ({Activities}{Reason}). What is left after "
            + "{DrainTimeoutSeconds:0.#} s will be aborted.",
        EventName = nameof(DrainStarted))]
    public static partial void DrainStarted(
        ILogger logger,
        LogLevel level,
        int connectionCount,
        string connectionNoun,
        string activities,
        string reason,
        double drainTimeoutSeconds);

    [LoggerMessage(
        EventId = 12,
        Message = "Draining: {ConnectionCount} {ConnectionNoun} left after {ElapsedSeconds:0.0} s ({States}). "
            + "Oldest: {Holders}. {Outlook}.",
        EventName = nameof(DrainProgress))]
    public static partial void DrainProgress(
        ILogger logger,
        LogLevel level,
        int connectionCount,
        string connectionNoun,
        double elapsedSeconds,
        string states,
        string holders,
        string outlook);

    [LoggerMessage(
        EventId = 13,
        Message = "Drained {ConnectionCount} {ConnectionNoun} in {ElapsedSeconds:0.000} s ({Outcomes}): "
            + "{UnacknowledgedBytes} {UnacknowledgedNoun} unacknowledged{Unknown}, "
            + "{UnansweredCount} {UnansweredNoun} unanswered, {DiscardedBytes} {DiscardedNoun} discarded.",
        EventName = nameof(DrainEnded))]
    public static partial void DrainEnded(
        ILogger logger,
        LogLevel level,
        int connectionCount,
        string connectionNoun,
        double elapsedSeconds,
        string outcomes,
        long unacknowledgedBytes,
        string unacknowledgedNoun,
        string unknown,
        int unansweredCount,
        string unansweredNoun,
        long discardedBytes,
        string discardedNoun);

    [LoggerMessage(
        14,
        LogLevel.Warning,
        "The drain aborted {ConnectionCount} {ConnectionNoun}, {Cause}, with {UnansweredCount} {UnansweredNoun} "
        + "unanswered. Oldest: {Holders}. A longer DrainTimeout lets them finish.",
        EventName = nameof(DrainAborted))]
    public static partial void DrainAborted(
        ILogger logger,
        int connectionCount,
        string connectionNoun,
        string cause,
        int unansweredCount,
        string unansweredNoun,
        string holders);

    [LoggerMessage(
        15,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": the handler had not returned {GraceSeconds} s after its "
        + "connection was aborted. The host stops without it. Look for a call in it that blocks or ignores "
        + "CloseRequested.",
        EventName = nameof(HandlerAbandoned))]
    public static partial void HandlerAbandoned(ILogger logger, string connectionId, double graceSeconds);

    [LoggerMessage(
        16,
        LogLevel.Warning,
        @"Connection id ""{ConnectionId}"": the handler had not returned {GraceSeconds} s after its "
        + "connection was aborted. It is left running, and its connection goes on being counted. Look for a call in it "
        + "that blocks or ignores CloseRequested.",
        EventName = nameof(HandlerIgnoresAbort))]
    public static partial void HandlerIgnoresAbort(ILogger logger, string connectionId, double graceSeconds);

    [LoggerMessage(
        17,
        LogLevel.Warning,
        "A callback of {Token} threw. The drain goes on.",
        EventName = nameof(DrainCallbackFaulted))]
    public static partial void DrainCallbackFaulted(ILogger logger, string token, Exception exception);

    [LoggerMessage(
        18,
        LogLevel.Warning,
        "Asked again to stop ({Signal}): aborting {ConnectionCount} {ConnectionNoun} now.",
        EventName = nameof(AbortRequested))]
    public static partial void AbortRequested(
        ILogger logger, string signal, int connectionCount, string connectionNoun);

    [LoggerMessage(
        40,
        LogLevel.Warning,
        "The callbacks of {Token} have not returned within {TimeoutSeconds} s. The drain goes on without them. "
        + "AddDrainStep() gives work more time.",
        EventName = nameof(DrainCallbackLate))]
    public static partial void DrainCallbackLate(ILogger logger, string token, double timeoutSeconds);

    [LoggerMessage(
        41,
        LogLevel.Warning,
        @"The drain step ""{Step}"" has not ended within {BudgetSeconds} s, the time for all steps and half of "
        + "DrainTimeout. Its token was cancelled, and the drain goes on without it.",
        EventName = nameof(DrainStepLate))]
    public static partial void DrainStepLate(ILogger logger, string step, double budgetSeconds);

    [LoggerMessage(
        42,
        LogLevel.Warning,
        @"The drain step ""{Step}"" was not run, because {Cause}.",
        EventName = nameof(DrainStepSkipped))]
    public static partial void DrainStepSkipped(ILogger logger, string step, string cause);

    [LoggerMessage(
        43,
        LogLevel.Warning,
        @"The drain step ""{Step}"" failed. The drain goes on.",
        EventName = nameof(DrainStepFailed))]
    public static partial void DrainStepFailed(ILogger logger, string step, Exception? exception);

    [LoggerMessage(
        44,
        LogLevel.Warning,
        "The lifetime {Type} is not the host's own, so it was left alone: StopApplication() fires "
        + "ApplicationStopping at once, and the announcement comes after it. Call AddGracefulShutdown() on the "
        + "services of a host's builder to have it before.",
        EventName = nameof(LifetimeNotReplaced))]
    public static partial void LifetimeNotReplaced(ILogger logger, string type);

    [LoggerMessage(
        45,
        LogLevel.Warning,
        "AddGracefulShutdown() has nothing to drain, because no endpoint of this host has UseGracefulShutdown(). Call "
        + "it on each endpoint, for example in ConfigureEndpointDefaults.",
        EventName = nameof(NothingToDrain))]
    public static partial void NothingToDrain(ILogger logger);

    [LoggerMessage(
        46,
        LogLevel.Warning,
        "{Handler} serves an endpoint without UseGracefulShutdown(): its connections close gracefully, but a drain "
        + "neither counts nor asks them, and the server aborts them at its stop. Call UseGracefulShutdown() on the "
        + "endpoint.",
        EventName = nameof(HandlerNotTracked))]
    public static partial void HandlerNotTracked(ILogger logger, string handler);

    [LoggerMessage(
        47,
        LogLevel.Warning,
        @"DrainAsync() was called inside the handler of connection id ""{ConnectionId}"", which the drain waits for. "
        + "The connection is asked to close as well, but this call does not wait for it, and its report does not count "
        + "it. Let another task wait for the drain.",
        EventName = nameof(DrainAwaitedInside))]
    public static partial void DrainAwaitedInside(ILogger logger, string connectionId);

    [LoggerMessage(
        48,
        LogLevel.Error,
        "The thread that drives the stop met an unexpected error, a fault of the library. The stop goes on.",
        EventName = nameof(StopThreadFaulted))]
    public static partial void StopThreadFaulted(ILogger logger, Exception exception);

    [LoggerMessage(
        49,
        LogLevel.Warning,
        "The thread that drives the stop could not be started, so the stop is late where handlers block the thread "
        + "pool. Check the limits of open files (ulimit -n) and of processes (ulimit -u).",
        EventName = nameof(StopThreadMissing))]
    public static partial void StopThreadMissing(ILogger logger, Exception exception);
}
