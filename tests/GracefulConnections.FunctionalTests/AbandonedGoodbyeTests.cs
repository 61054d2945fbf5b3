using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests;

/// <summary>A goodbye that was given up and goes on writing.</summary>
public sealed class AbandonedGoodbyeTests
{
    [Theory]
    [InlineData(TlsPlacement.Plaintext)]
    [InlineData(TlsPlacement.Inside)]
    public async Task Goodbye_GivenUpAndStillWriting_WritesToNobodysMemory(TlsPlacement placement)
    {
        var isOver = new TaskCompletionSource();
        var wrote = new TaskCompletionSource();
        void Configure(GracefulCloseOptions options)
        {
            options.GoodbyeTimeout = TimeSpan.FromMilliseconds(100);
            options.LingerIdleTimeout = TimeSpan.FromSeconds(1);
            options.Goodbye = async (connection, _, _) =>
            {
                var kept = connection.Transport.Output.GetMemory(1);
                await isOver.Task;
                kept.Span.Fill((byte)'X');
                wrote.SetResult();
            };
        }

        static Task Handle(Microsoft.AspNetCore.Connections.ConnectionContext connection)
        {
            connection.Graceful().RequestClose();
            return Task.CompletedTask;
        }

        await using var server = placement == TlsPlacement.Plaintext
            ? await TestServer.StartAsync(Handle, Configure)
            : await TestServer.StartTlsAsync(placement, Handle, Configure);
        if (placement == TlsPlacement.Plaintext)
        {
            await using var peer = await server.ConnectAsync();
            await peer.ReadToEndAsync();
        }
        else
        {
            await using var peer = await TlsPeer.ConnectAsync(server);
            await peer.ReadToEndAsync();
        }

        await server.NextResultAsync();
        await server.StopAsync();
        isOver.SetResult();
        await wrote.Task.InTimeAsync();
    }
}
