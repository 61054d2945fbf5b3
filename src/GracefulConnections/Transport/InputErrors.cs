using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Transport;

/// <summary>The exceptions by which a handler learns why it cannot read.</summary>
internal static class InputErrors
{
    private static readonly CancellationToken Cancelled = new(canceled: true);

    public static ConnectionResetException CreateReset() => new("The peer reset the connection.");

    public static OperationCanceledException CreateRefused(CancellationToken closeRequested) => new(
        "The connection was asked to close while its handler waited for the next message, so the read was cancelled. "
        + "It is not the peer's end of the stream: leave what is incomplete, and return.",
        closeRequested);

    /// <summary>
    /// Returns what a pending read ends with: a cancellation, because nobody may be left to observe a failed task.
    /// </summary>
    public static OperationCanceledException CreateEnded(InputUser end) => new(
        end == InputUser.Closed
            ? "The connection has ended: its handler returned while a read was pending."
            : "The input was completed while a read was pending.",
        Cancelled);

    /// <summary>Returns what a call is answered with that is an error now.</summary>
    public static Exception Create(InputUser user, CancellationToken closeRequested) => user switch
    {
        InputUser.Refused => CreateRefused(closeRequested),
        InputUser.Completed => new InvalidOperationException(
            "The input was completed, and what the peer sends now is discarded. "
            + "Read everything before Input.Complete()."),
        InputUser.Closed => new ObjectDisposedException(
            nameof(PipeReader),
            "The connection has ended: its handler returned, and what the peer sends now is discarded. "
            + "Do not read behind the handler's return."),
        _ => new InvalidOperationException(
            "A read is pending already. Await it before the next one, and before AdvanceTo()."),
    };
}
