using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

public class InputEndTests
{
    // Where the kernel tells nothing, as below TLS, the server's own receive does.
    [Theory]
    [InlineData(InputKind.Transport, true)]
    [InlineData(InputKind.Transport, false)]
    [InlineData(InputKind.Tls, true)]
    [InlineData(InputKind.Tls, false)]
    [InlineData(InputKind.Foreign, true)]
    [InlineData(InputKind.Foreign, false)]
    internal void IsReset_ASendWasToldOfOne_UnlessTheEndHadCome(InputKind kind, bool hadEnded)
    {
        var sut = default(InputEnd);

        sut.OnPeerReset(kind, queue: null, hadEnded);

        Assert.Equal(!hadEnded, sut.IsReset(kind, queue: null, receivedBytes: 100));
        Assert.Equal(hadEnded, sut.HadEndedAtReset);
    }

    // A connection that was made tells a reset from an end itself, and knows what was read before the library came.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void IsReset_ReaderTellsItself_IsFalse(bool hadEnded)
    {
        var sut = default(InputEnd);

        sut.OnPeerReset(InputKind.Transport, queue: null, hadEnded, isKept: true);

        Assert.False(sut.IsReset(InputKind.Transport, queue: null, receivedBytes: 100));
        Assert.Equal(hadEnded, sut.HadEndedAtReset);
    }

    [Fact]
    public void IsReset_NoSendWasToldOfOne_IsFalse()
    {
        var sut = default(InputEnd);

        Assert.False(sut.IsReset(InputKind.Transport, queue: null, receivedBytes: 0));
    }
}
