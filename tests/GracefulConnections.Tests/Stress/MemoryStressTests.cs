using CsCheck;
using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>
/// The invariants of a close, in random sequences of everything that a handler, a peer and the world can do to a connection. A failure prints the shortest sequence found and
/// the seed that makes it again (set it in the variable <c>CsCheck_Seed</c>).
/// </summary>
public class MemoryStressTests
{
    [Fact]
    public Task Middleware_AnySequence_KeepsTheInvariants() =>
        Scripts.All.SampleAsync(MemoryModel.RunInARowAsync, iter: StressRun.Count(60_000));
}
