namespace GracefulConnections.Tests.Stress;

/// <summary>
/// Tests that delay threads at every <c>Interleaving.Point()</c>, or watch <c>CloseTrace</c>. Both are one for the whole
/// process, so these tests run one at a time, after all the others.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class DelayedThreads
{
    public const string Name = "Delayed threads";
}
