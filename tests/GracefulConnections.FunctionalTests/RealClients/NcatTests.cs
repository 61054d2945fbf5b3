using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.RealClients;

// Half-closes by itself, and keeps its own side open until its input ends.
public sealed class NcatTests : HalfClosingClientTests
{
    private protected override ChildProcess Start(int port) => ChildProcess.Start(RequiredProgram.Find("ncat", "ncat"), "127.0.0.1", $"{port}");
}
