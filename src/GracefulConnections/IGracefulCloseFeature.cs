namespace GracefulConnections;

/// <summary>
/// One connection's close, as its handler and the middlewares around it see it:
/// <c>connection.Features.Get&lt;IGracefulCloseFeature&gt;()</c>.
/// </summary>
public interface IGracefulCloseFeature
{
    /// <summary>Gets where the connection is on its way to its end. Only moves forward.</summary>
    CloseState State { get; }

    /// <summary>
    /// Gets a token that is cancelled when the connection is asked to close: finish the message in hand, then return. A
    /// read that a close request cancelled throws <see cref="OperationCanceledException"/> with this token.
    /// </summary>
    /// <remarks>Do not pass it to a read: that would end it in the middle of a message.</remarks>
    CancellationToken CloseRequested { get; }

    /// <summary>
    /// Gets a task that completes when the connection has ended. Never faults and is never cancelled.
    /// </summary>
    Task<CloseResult> Closed { get; }

    /// <summary>
    /// Gets or sets what the connection is to the application, such as a user or a tenant: for filters of
    /// <see cref="IDrainCoordinator"/>, and shown in <see cref="TrackedConnectionInfo.Tag"/> and in the lines that name
    /// who holds a drain. Defaults to <see langword="null"/>.
    /// </summary>
    /// <remarks>Its text goes into the log, so it should be short and hold no secret.</remarks>
    object? Tag { get; set; }

    /// <summary>
    /// Asks the connection to close: cancels <see cref="CloseRequested"/> and, unless the handler is aware or the
    /// option <see cref="GracefulCloseOptions.CancelReadOnCloseRequest"/> is off, cancels the handler's read at the
    /// next moment that is no middle of a message. Aware is a handler that reads
    /// <c>IConnectionLifetimeNotificationFeature.ConnectionClosedRequested</c>. Does not wait for the close. The first
    /// request wins; a later one, or one after the handler returned, does nothing.
    /// </summary>
    /// <remarks>The reason of the close is then <see cref="CloseReason.Application"/>.</remarks>
    void RequestClose();

    /// <summary>
    /// Says that the handler has a message in hand, until the scope is disposed: <c>using (close.BeginMessage()) { ...
    /// }</c>. A close request waits for that. Scopes may be nested, and used from any thread.
    /// </summary>
    /// <remarks>
    /// A handler that uses scopes says exactly where its messages are, so between them it is not waited for: its read
    /// is cancelled as soon as everything that has arrived is consumed and everything that it wrote was sent. Begin the
    /// scope before the first byte of a message is consumed, and end it behind the flush of its answer. Until the first
    /// scope, silence decides.
    /// </remarks>
    /// <returns>The scope.</returns>
    MessageScope BeginMessage();
}
