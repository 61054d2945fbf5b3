using GracefulConnections.Closing;
using GracefulConnections.Diagnostics;
using GracefulConnections.Pipeline;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Support;

/// <summary>An endpoint with a clock, a log and meters of its own.</summary>
internal sealed class TestEndpoint
{
    private readonly TestDrain? _drain;

    /// <param name="configure">Changes the options.</param>
    /// <param name="drain">Who knows the endpoint's connections, on the same clock; <see langword="null"/> for nobody.</param>
    public TestEndpoint(Action<GracefulCloseOptions>? configure = null, TestDrain? drain = null)
    {
        _drain = drain;
        Time = drain?.Time ?? new FakeTimeProvider();
        var options = new GracefulCloseOptions();
        configure?.Invoke(options);
        Scope = new CloseScope(options, Time, Logger, new GracefulMetrics(Meters));
    }

    public FakeTimeProvider Time { get; }

    public RecordingLogger Logger { get; } = new();

    public RecordingMeters Meters { get; } = new();

    public CloseScope Scope { get; }

    public GracefulCloseOptions Options => Scope.Options;

    /// <summary>Runs a handler on a connection, through the middleware.</summary>
    public Task RunAsync(ConnectionContext connection, ConnectionDelegate handler) => new GracefulShutdownMiddleware(handler, Scope, _drain?.Coordinator).OnConnectionAsync(connection);

    /// <summary>Runs a connection whose handler is the test.</summary>
    public ServedConnection Serve(InMemoryConnection? connection = null) => new(this, connection ?? InMemory.WithoutKernel());

    /// <summary>Runs a connection in memory whose handler is the test.</summary>
    /// <param name="hasKernel">Whether the transport tells of acknowledgements, as a socket does.</param>
    public ServedConnection Serve(bool hasKernel) =>
        Serve(hasKernel ? InMemory.WithKernel(Time) : InMemory.WithoutKernel());

    /// <summary>Runs one whose peer takes nothing until <see cref="ServedConnection.Unblock"/>.</summary>
    /// <param name="hasKernel">Whether the transport tells of acknowledgements, as a socket does.</param>
    public ServedConnection ServeBlocked(bool hasKernel)
    {
        var connection = InMemory.Narrow(hasKernel ? Time : null);
        connection.Peer.CloseWindow();
        return Serve(connection);
    }
}
