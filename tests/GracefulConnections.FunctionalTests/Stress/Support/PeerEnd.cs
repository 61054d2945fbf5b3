namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>What a peer does when it has done everything else.</summary>
internal enum PeerEnd
{
    HalfClosesAndReads,
    ReadsAndHalfClosesAtTheEnd,
    ReadsAndNeverCloses,
    StallsUntilTheServerHasClosed,
    SendsWhileItReads,
    HalfClosesAndStallsUntilTheApplicationAborts,
    Resets,
}
