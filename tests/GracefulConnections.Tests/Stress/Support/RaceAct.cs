namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One thing that one of three threads does to a closer: the handler's, the peer's and the server's.</summary>
internal enum RaceAct
{
    Write,
    CompleteOutput,
    FaultOutput,
    CompleteInput,
    Return,
    SayGoodbye,
    Seal,
    SealThenReset,
    SealThenClose,

    KernelTakes,
    PeerAcknowledges,
    PeerAcknowledgesFin,
    KernelGivesUp,
    SocketIsGone,
    PeerSends,
    PeerSendsFin,
    PeerResets,

    RequestClose,
    CapLinger,
    Evict,
    ServerCloses,
    InnerAborts,
    Abort,
    DrainTimesOut,
    Advance,
}
