namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>One thing that a handler or a peer does on a real connection.</summary>
internal enum SocketAct
{
    Write,
    Buffer,
    ReadOnce,
    CompleteOutput,
    FailOutput,
    CompleteInput,
    RequestClose,
    Abort,
    Throw,

    Send,
    ReceiveWhatIsThere,
    HalfClose,
}
