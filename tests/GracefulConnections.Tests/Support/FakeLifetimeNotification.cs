using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Tests.Support;

/// <summary>The server's own way to ask for a close.</summary>
internal sealed class FakeLifetimeNotification : IConnectionLifetimeNotificationFeature, IDisposable
{
    private readonly CancellationTokenSource _requested = new();

    public FakeLifetimeNotification() => ConnectionClosedRequested = _requested.Token;

    public CancellationToken ConnectionClosedRequested { get; set; }

    public void RequestClose() => _requested.Cancel();

    public void Dispose() => _requested.Dispose();
}
