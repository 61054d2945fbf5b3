using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

public class HostShutdownTimeoutTests
{
    [Fact]
    public void Find_NoHostThatIsKnown_IsNull() => Assert.Null(HostShutdownTimeout.Find(new FakeServices()));
}
