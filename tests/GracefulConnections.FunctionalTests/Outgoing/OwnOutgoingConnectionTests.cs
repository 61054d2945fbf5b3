using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary>On connections of the library's own factory.</summary>
public sealed class OwnOutgoingConnectionTests : OutgoingConnectionTests
{
    private readonly ServiceProvider _services =
        new ServiceCollection().AddGracefulConnectionFactory().BuildServiceProvider();

    protected override Task<ConnectionContext> ConnectAsync(EndPoint endPoint) =>
        _services.GetRequiredService<IConnectionFactory>().ConnectAsync(endPoint, CancellationToken.None).AsTask().InTimeAsync();

    protected override void Dispose(bool isDisposing)
    {
        base.Dispose(isDisposing);
        _services.Dispose();
    }
}
