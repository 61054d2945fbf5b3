namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One generated sequence: how the endpoint is set up, and what happens in which order.</summary>
internal sealed record Script(
    bool AbortOnHandlerFault,
    bool CancelReadOnCloseRequest,
    bool AllowHalfOpen,
    bool PeerDrainsInTheEnd,
    long? MaxLingerBytes,
    GoodbyeKind Goodbye,
    Step[] Steps)
{
    public override string ToString() =>
        $"{nameof(AbortOnHandlerFault)}={AbortOnHandlerFault} {nameof(CancelReadOnCloseRequest)}={CancelReadOnCloseRequest} {nameof(AllowHalfOpen)}={AllowHalfOpen} " +
        $"{nameof(PeerDrainsInTheEnd)}={PeerDrainsInTheEnd} {nameof(MaxLingerBytes)}={MaxLingerBytes?.ToString() ?? "null"} {nameof(Goodbye)}={Goodbye}: {string.Join(", ", Steps)}";
}
