using Microsoft.Extensions.Logging;

namespace GracefulConnections.Diagnostics;

/// <content>What a handover of the listening sockets says.</content>
internal static partial class Log
{
    [LoggerMessage(
        60,
        LogLevel.Information,
        "AddListenerHandover() does nothing on this system: listening sockets are handed over on Linux only.",
        EventName = nameof(HandoverNotSupported))]
    public static partial void HandoverNotSupported(ILogger logger);

    [LoggerMessage(
        61,
        LogLevel.Information,
        "The listening sockets of {Addresses} were handed over to process {ProcessId}. This process finishes its "
        + "connections and exits.",
        EventName = nameof(HandedOver))]
    public static partial void HandedOver(ILogger logger, string addresses, int processId);

    [LoggerMessage(
        62,
        LogLevel.Information,
        "This process serves {Addresses} instead of process {ProcessId}.",
        EventName = nameof(TookOver))]
    public static partial void TookOver(ILogger logger, string addresses, int processId);

    [LoggerMessage(
        63,
        LogLevel.Warning,
        "Process {ProcessId} asked for the listening sockets and ended before it was ready. This process goes on "
        + "serving. See that process's log.",
        EventName = nameof(SuccessorEnded))]
    public static partial void SuccessorEnded(ILogger logger, int processId);

    [LoggerMessage(
        64,
        LogLevel.Warning,
        "Process {ProcessId} asked for the listening sockets and was not ready within {TimeoutSeconds} s. This process "
        + "goes on serving. See that process's log, or raise ReadyTimeout.",
        EventName = nameof(SuccessorLate))]
    public static partial void SuccessorLate(ILogger logger, int processId, double timeoutSeconds);

    [LoggerMessage(
        65,
        LogLevel.Warning,
        "Process {ProcessId} asked for the listening sockets and was refused, because it runs as user {UserId}. They "
        + "are given to the own user and to root only.",
        EventName = nameof(SuccessorRefused))]
    public static partial void SuccessorRefused(ILogger logger, int processId, uint userId);

    [LoggerMessage(
        66,
        LogLevel.Warning,
        "Listening sockets were passed to this process whose addresses no endpoint has: {Unclaimed}. They were closed. "
        + "Endpoints that were bound anew: {Bound}.",
        EventName = nameof(SocketsUnclaimed))]
    public static partial void SocketsUnclaimed(ILogger logger, string unclaimed, string bound);

    [LoggerMessage(
        67,
        LogLevel.Warning,
        "An endpoint with port 0 cannot be handed over, because each process gets another port. Give it a port of its "
        + "own.",
        EventName = nameof(PortNotFixed))]
    public static partial void PortNotFixed(ILogger logger);

    [LoggerMessage(
        68,
        LogLevel.Warning,
        "The endpoint {EndPoint} cannot be handed over, because its transport {Transport} does not take an open "
        + "socket (FileHandleEndPoint).",
        EventName = nameof(TransportTakesNoSocket))]
    public static partial void TransportTakesNoSocket(ILogger logger, string endPoint, string transport);

    [LoggerMessage(
        69,
        LogLevel.Information,
        "{Signal}: starting this command line again, as process {ProcessId}.",
        EventName = nameof(RestartBegan))]
    public static partial void RestartBegan(ILogger logger, string signal, int processId);

    [LoggerMessage(
        70,
        LogLevel.Warning,
        "Process {ProcessId}, which was to replace this one, ended with exit code {ExitCode} before it was ready. This "
        + "process goes on serving.",
        EventName = nameof(RestartEnded))]
    public static partial void RestartEnded(ILogger logger, int processId, int exitCode);

    [LoggerMessage(
        71,
        LogLevel.Warning,
        "Process {ProcessId}, which was to replace this one, was killed: {Why}.",
        EventName = nameof(RestartKilled))]
    public static partial void RestartKilled(ILogger logger, int processId, string why);

    [LoggerMessage(
        72,
        LogLevel.Warning,
        "{Signal}: this command line could not be started again. This process goes on serving.",
        EventName = nameof(RestartFailed))]
    public static partial void RestartFailed(ILogger logger, string signal, Exception exception);

    [LoggerMessage(
        73,
        LogLevel.Information,
        "{Signal}: no successor is started now, because one is being started already, or this process itself is "
        + "starting or stopping.",
        EventName = nameof(RestartUnderWay))]
    public static partial void RestartUnderWay(ILogger logger, string signal);

    [LoggerMessage(
        74,
        LogLevel.Warning,
        "A handover to process {ProcessId} failed. This process goes on serving.",
        EventName = nameof(HandoverFailed))]
    public static partial void HandoverFailed(ILogger logger, int processId, Exception exception);

    [LoggerMessage(
        75,
        LogLevel.Error,
        "Process {ProcessId}, whose listening sockets this process took, had given up waiting for it and goes on "
        + "serving. This process stops. Raise ReadyTimeout there, or start faster.",
        EventName = nameof(TookTooLong))]
    public static partial void TookTooLong(ILogger logger, int processId);

    [LoggerMessage(
        76,
        LogLevel.Warning,
        "Process {ProcessId} did not answer in time during a handover. This process goes on with what it does: it "
        + "serves if it started last, and drains if it started first.",
        EventName = nameof(OtherProcessSilent))]
    public static partial void OtherProcessSilent(ILogger logger, int processId);

    [LoggerMessage(
        77,
        LogLevel.Warning,
        "The service manager behind {Variable} could not be told {Message}.",
        EventName = nameof(ServiceManagerNotTold))]
    public static partial void ServiceManagerNotTold(
        ILogger logger, string variable, string message, Exception exception);

    [LoggerMessage(
        78,
        LogLevel.Warning,
        "A successor that asks at {Path} could not be accepted. It is tried again.",
        EventName = nameof(HandoverNotAccepted))]
    public static partial void HandoverNotAccepted(ILogger logger, string path, Exception exception);

    [LoggerMessage(
        79,
        LogLevel.Error,
        "The handover met an unexpected error. This process goes on serving, and no successor can take over from it.",
        EventName = nameof(HandoverFaulted))]
    public static partial void HandoverFaulted(ILogger logger, Exception exception);

    [LoggerMessage(
        80,
        LogLevel.Debug,
        "The process that serves {Path} passed no listening sockets: it hands over to another process, or stops. It is "
        + "asked again.",
        EventName = nameof(PredecessorAskedAgain))]
    public static partial void PredecessorAskedAgain(ILogger logger, string path);

    [LoggerMessage(
        81,
        LogLevel.Information,
        "The service's unit passed listening sockets whose addresses no endpoint has: {Left}. They were left open, for "
        + "the application's own use. Endpoints that were bound anew: {Bound}.",
        EventName = nameof(SocketsLeft))]
    public static partial void SocketsLeft(ILogger logger, string left, string bound);

    [LoggerMessage(
        82,
        LogLevel.Warning,
        "Process {ProcessId} asked for the listening sockets and was refused: this is process 1 of a container, and "
        + "all processes in there end with it. This process goes on serving. Start the successor in another "
        + "container, or this one behind a process 1 that stays.",
        EventName = nameof(SuccessorInContainer))]
    public static partial void SuccessorInContainer(ILogger logger, int processId);

    [LoggerMessage(
        83,
        LogLevel.Warning,
        "{Signal}: no successor is started, because this is process 1 of a container, and all processes in there end "
        + "with it. This process goes on serving. Start it behind a process 1 that stays.",
        EventName = nameof(RestartInContainer))]
    public static partial void RestartInContainer(ILogger logger, string signal);
}
