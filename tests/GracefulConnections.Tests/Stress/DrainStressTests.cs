using CsCheck;
using GracefulConnections.Tests.Stress.Support;

namespace GracefulConnections.Tests.Stress;

/// <summary>
/// Accept, end, drain, stop and abort in every order and one in the midst of the other: no connection is missed, none counted twice, and no drain ends early or late. A failure prints the
/// sequence and its seed, as in <see cref="MemoryStressTests"/>.
/// </summary>
public class DrainStressTests
{
    [Fact]
    public Task Coordinator_AnySequence_MissesNobodyAndEndsInTime() => DrainScript.All.SampleAsync(DrainModel.RunAsync, iter: StressRun.Count(20_000));

    [Fact]
    public Task Coordinator_ThreeThreads_MissesNobodyAndCountsEachOnce() => DrainScript.All.SampleAsync(DrainRace.RunAsync, iter: StressRun.Count(3_000));
}
