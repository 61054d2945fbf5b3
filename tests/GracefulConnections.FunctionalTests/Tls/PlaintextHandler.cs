using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>The same server as a <see cref="GracefulConnectionHandler"/>.</summary>
internal sealed class PlaintextHandler : GracefulConnectionHandler
{
    protected override Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) => Plaintext.ServeAsync(connection);

    protected override ValueTask SayGoodbyeAsync(ConnectionContext connection, CloseReason reason, CancellationToken cancellationToken) =>
        Plaintext.SayGoodbyeAsync(connection, reason, cancellationToken);
}
