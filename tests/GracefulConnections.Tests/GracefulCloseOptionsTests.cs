namespace GracefulConnections.Tests;

public class GracefulCloseOptionsTests
{
    [Fact]
    public void Options_NothingSet_AreTheDocumentedDefaults()
    {
        var options = new GracefulCloseOptions();

        Assert.Equal(TimeSpan.FromMinutes(1), options.FlushStallTimeout);
        Assert.Equal(TimeSpan.FromSeconds(5), options.LingerIdleTimeout);
        Assert.Equal(TimeSpan.FromMinutes(2), options.CloseTimeout);
        Assert.Null(options.MaxLingerBytes);
        Assert.Null(options.MaxLingeringConnections);
        Assert.Equal(LingerUntil.PeerFin, options.LingerUntil);
        Assert.False(options.AllowHalfOpen);
        Assert.True(options.CancelReadOnCloseRequest);
        Assert.Equal(TimeSpan.FromSeconds(1), options.QuietTime);
        Assert.Equal(TimeSpan.FromSeconds(5), options.MessageGap);
        Assert.False(options.AbortOnHandlerFault);
        Assert.Null(options.IdleTimeout);
        Assert.Null(options.MaxConnectionAge);
        Assert.Equal(0.1, options.MaxConnectionAgeJitter);
        Assert.Null(options.Goodbye);
        Assert.Equal(TimeSpan.FromSeconds(1), options.GoodbyeTimeout);
    }
}
