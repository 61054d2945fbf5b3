using System.Security.Authentication;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests;

/// <summary>Every test server has its memory from pools that find who uses it after its return.</summary>
public sealed class MemoryTests
{
    private const int ReplyBytes = 50_000;

    [Fact]
    public async Task Memory_PlainConnection_ComesFromThePoisoningPool()
    {
        await using var server = await TestServer.StartAsync(static connection => connection.SendAsync(ReplyBytes));
        await using var peer = await server.ConnectAsync();

        Assert.Equal((ReplyBytes, PeerSaw.Eof), await peer.ReadToEndAsync());

        Assert.InRange(server.Memory.RentedCount, ReplyBytes / PoisoningMemoryPool.BlockBytes, long.MaxValue);
    }

    [Theory]
    [InlineData(TlsPlacement.Inside)]
    [InlineData(TlsPlacement.Outside)]
    public async Task Memory_TlsConnection_ComesFromThePoisoningPool(TlsPlacement placement)
    {
        await using var server = await TestServer.StartTlsAsync(
            placement, static connection => connection.SendAsync(ReplyBytes));
        await using var peer = await TlsPeer.ConnectAsync(server, SslProtocols.Tls13);

        Assert.Equal(ReplyBytes, (await peer.ReadToEndAsync()).Bytes);

        Assert.InRange(server.Memory.RentedCount, ReplyBytes / PoisoningMemoryPool.BlockBytes, long.MaxValue);
    }

    [Fact]
    public async Task Dispose_HandlerWroteToMemoryThatItGaveBack_Throws()
    {
        Memory<byte> kept = default;
        var server = await TestServer.StartStockAsync(connection =>
        {
            kept = connection.Transport.Output.GetMemory(1);
            return Task.CompletedTask;
        });
        await using (var peer = await server.ConnectAsync())
        {
            await peer.ReadToEndAsync();
        }

        await server.StopAsync(); // Kestrel has given the block back once it has stopped.
        kept.Span[0] = (byte)'X';

        var exception = await Assert.ThrowsAsync<InvalidOperationException>(async () => await server.DisposeAsync());
        Assert.Contains("from byte 0 on: 58", exception.Message, StringComparison.Ordinal);
    }
}
