using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

// It waits half a second for the other direction by default, and leaves then: -t gives it the limit of every wait.
public sealed class SocatTests : HalfClosingClientTests
{
    private protected override ChildProcess Start(int port) => ChildProcess.Start(
        RequiredProgram.Find("socat", "socat"), "-t", $"{TestServer.TestLimit.TotalSeconds}", "STDIO", $"TCP:127.0.0.1:{port}");
}
