using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>The middleware with one handler on one connection without a socket: for a sequence that is known, because a random one found it.</summary>
internal static class MemoryServer
{
    public static Task RunAsync(MemoryConnection connection, ConnectionDelegate handler, GracefulCloseOptions? options = null, FakeTimeProvider? time = null) =>
        new GracefulShutdownMiddleware(handler, new CloseScope(options ?? new GracefulCloseOptions(), time ?? new FakeTimeProvider(), NullLogger.Instance, new GracefulMetrics(null)))
            .OnConnectionAsync(connection);

    public static IGracefulCloseFeature Feature(this ConnectionContext connection) => connection.Features.Get<IGracefulCloseFeature>()!;
}
