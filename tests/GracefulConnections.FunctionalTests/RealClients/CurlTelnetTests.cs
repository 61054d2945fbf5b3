using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

// Leaves when its input ends, so it has no half-close to test; and waits for input between two reads, so it must always have some.
public sealed class CurlTelnetTests : StreamClientTests
{
    private protected override ChildProcess Start(int port) => ChildProcess.Start(RequiredProgram.Find("curl", "curl"), "--silent", "--show-error", "--no-buffer", $"telnet://127.0.0.1:{port}");
}
