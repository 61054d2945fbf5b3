using CsCheck;

namespace GracefulConnections.FunctionalTests.Stress.Support;

/// <summary>One generated sequence: what the handler does, what the peer does meanwhile, and how the peer ends.</summary>
internal sealed record SocketScript(SocketStep[] Handler, SocketStep[] Peer, PeerEnd End, bool SmallBuffers)
{
    private static readonly Gen<int> Bytes = Gen.Frequency((5, Gen.Int[1, 300]), (4, Gen.Int[301, 20_000]), (2, Gen.Int[20_001, 200_000]), (1, Gen.Int[200_001, 1_500_000]));

    private static readonly Gen<SocketStep> HandlerSteps = Gen.Frequency(
        (10, Bytes.Select(static bytes => new SocketStep(SocketAct.Write, bytes))),
        (3, Gen.Int[1, 5000].Select(static bytes => new SocketStep(SocketAct.Buffer, bytes))),
        (4, Just(SocketAct.ReadOnce)),
        (1, Just(SocketAct.CompleteOutput)),
        (1, Just(SocketAct.CompleteInput)),
        (1, Just(SocketAct.RequestClose)));

    private static readonly Gen<SocketStep?> LastHandlerSteps = Gen.Frequency(
        (8, Gen.Const((SocketStep?)null)),
        (1, Just(SocketAct.Throw).Select(static step => (SocketStep?)step)),
        (1, Just(SocketAct.FailOutput).Select(static step => (SocketStep?)step)),
        (1, Just(SocketAct.Abort).Select(static step => (SocketStep?)step)));

    private static readonly Gen<SocketStep> PeerSteps = Gen.Frequency(
        (5, Gen.Int[1, 8000].Select(static bytes => new SocketStep(SocketAct.Send, bytes))),
        (4, Just(SocketAct.ReceiveWhatIsThere)),
        (1, Just(SocketAct.HalfClose)));

    public static readonly Gen<SocketScript> All =
        from handler in HandlerSteps.Array[0, 6]
        from last in LastHandlerSteps
        from peer in PeerSteps.Array[0, 6]
        from end in Gen.Enum<PeerEnd>()
        from small in Gen.Bool
        select new SocketScript(last is null ? handler : [.. handler, last.Value], peer, end, small);

    public override string ToString() => $"handler: {string.Join(", ", Handler)}; peer: {string.Join(", ", Peer)}, then {End}{(SmallBuffers ? " with small buffers" : "")}";

    private static Gen<SocketStep> Just(SocketAct act) => Gen.Const(new SocketStep(act, 0));
}
