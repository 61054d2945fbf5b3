namespace GracefulConnections.Tests;

public class ServerDrainOptionsTests
{
    [Fact]
    public void Options_NothingSet_AreTheDocumentedDefaults()
    {
        var options = new ServerDrainOptions();

        Assert.Equal(TimeSpan.Zero, options.AnnounceDelay);
        Assert.Equal(TimeSpan.FromSeconds(20), options.DrainTimeout);
        Assert.Equal(TimeSpan.Zero, options.SpreadWindow);
        Assert.Equal(TimeSpan.FromSeconds(1), options.LingerIdleTimeout);
        Assert.Equal(TimeSpan.FromSeconds(1), options.ReportInterval);
    }
}
