namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One thing that can happen around a closer.</summary>
internal enum CloserAct
{
    Write,
    CompleteOutput,
    CompleteInput,
    Return,
    RequestClose,
    Abort,
    DrainTimesOut,

    KernelTakes,
    PeerAcknowledges,
    PeerAcknowledgesFin,
    KernelGivesUp,
    PeerSends,
    PeerSendsFin,
    PeerResets,

    AnotherLingers,
    Advance,
}
