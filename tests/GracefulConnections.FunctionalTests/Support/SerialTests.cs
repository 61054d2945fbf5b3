namespace GracefulConnections.FunctionalTests.Support;

/// <summary>
/// Tests that load the machine, count what the process holds, or have a peer that must keep to a rhythm. They run one at a time, after all the others.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class SerialTests
{
    public const string Name = "Serial tests";
}
