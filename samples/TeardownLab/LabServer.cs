using System.Net;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace TeardownLab;

/// <summary>A Kestrel that serves one scenario's handler to one peer.</summary>
internal sealed class LabServer : IAsyncDisposable
{
    private readonly TaskCompletionSource _handlerReturned = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<IGracefulCloseFeature?> _connected = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly WebApplication _app;
    private readonly Scenario _scenario;

    private LabServer(Scenario scenario, ServerKind kind)
    {
        _scenario = scenario;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders(); // One of the handlers throws; the table says so.
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
        {
            if (kind == ServerKind.Graceful)
            {
                endpoint.UseGracefulShutdown(scenario.Configure);
            }

            endpoint.Run(OnConnectionAsync);
        }));
        _app = builder.Build();
    }

    public IPEndPoint EndPoint => new(IPAddress.Loopback, new Uri(_app.Urls.Single()).Port);

    public Task HandlerReturned => _handlerReturned.Task;

    public static async Task<LabServer> StartAsync(Scenario scenario, ServerKind kind)
    {
        var server = new LabServer(scenario, kind);
        await server._app.StartAsync();
        return server;
    }

    /// <summary>Waits until the connection has ended.</summary>
    /// <returns>How it ended; <see langword="null"/> on stock Kestrel, which does not tell.</returns>
    public async Task<CloseResult?> WaitForCloseAsync() => await _connected.Task is { } graceful ? await graceful.Closed : null;

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    private async Task OnConnectionAsync(ConnectionContext connection)
    {
        _connected.SetResult(connection.Features.Get<IGracefulCloseFeature>());
        try
        {
            await _scenario.Handler(connection, _scenario.WrittenBytes);
        }
        finally
        {
            _handlerReturned.SetResult();
        }
    }
}
