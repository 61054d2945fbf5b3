using GracefulConnections.FunctionalTests.Samples.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// A process that has no descriptor left, which is when operators restart it. Not even a thread can be started then.
/// </summary>
public class DescriptorShortageTests
{
    [Theory]
    [InlineData("Stock")]
    [InlineData("Drain")]
    [InlineData("Handover")]
    public async Task Stop_NoDescriptorIsLeft_EndsWell(string kind)
    {
        await using var server = StopServer.StartShortOfDescriptors(kind);

        Assert.Equal(0, await server.WaitForExitAsync());
        Assert.Contains("Stopped twice.", server.Log, StringComparison.Ordinal);
        Assert.Equal(kind == "Stock" ? 0 : 2, server.Log.Split("The peer read 0 bytes.").Length - 1);
    }
}
