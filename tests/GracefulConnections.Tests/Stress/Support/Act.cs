namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One thing that the handler, the peer or the world can do to a connection.</summary>
internal enum Act
{
    Write,
    WriteBesidePending,
    Buffer,
    Flush,
    CancelFlush,
    Read,
    ReadAll,
    CancelRead,
    CompleteOutput,
    FailOutput,
    CompleteInput,
    Return,
    Throw,
    ThrowCanceled,

    PeerSend,
    PeerRead,
    PeerHalfClose,
    PeerReset,

    RequestClose,
    StopServer,
    Abort,
    Advance,
}
