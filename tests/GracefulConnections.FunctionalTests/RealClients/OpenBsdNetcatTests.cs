using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

// With -N it half-closes at the end of its input.
public sealed class OpenBsdNetcatTests : HalfClosingClientTests
{
    private protected override ChildProcess Start(int port) => ChildProcess.Start(RequiredProgram.Find("nc.openbsd", "netcat-openbsd"), "-N", "127.0.0.1", $"{port}");
}
