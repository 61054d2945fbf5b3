using CsCheck;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>What three threads do to one closer at the same time.</summary>
internal sealed record RaceScript(
    LingerUntil LingerUntil,
    long? MaxLingerBytes,
    bool CanHalfClose,
    bool GoodbyeWaits,
    int Delays,
    RaceStep[] Handler,
    RaceStep[] Peer,
    RaceStep[] Server,
    RaceStep[] End)
{
    private static readonly Gen<int> Bytes = Gen.Frequency((4, Gen.Int[1, 100]), (1, Gen.Int[101, 2000]));

    private static readonly Gen<RaceStep> HandlerStep = Gen.Frequency(
        (8, Of(RaceAct.Write)),
        (2, Just(RaceAct.CompleteOutput)),
        (1, Just(RaceAct.FaultOutput)),
        (1, Just(RaceAct.CompleteInput)),
        (4, Just(RaceAct.Return)),
        (2, Just(RaceAct.SayGoodbye)),
        (4, Just(RaceAct.Seal)),
        (1, Just(RaceAct.SealThenReset)),
        (1, Just(RaceAct.SealThenClose)));

    private static readonly Gen<RaceStep> PeerStep = Gen.Frequency(
        (8, Of(RaceAct.KernelTakes)),
        (8, Of(RaceAct.PeerAcknowledges)),
        (6, Just(RaceAct.PeerAcknowledgesFin)),
        (1, Just(RaceAct.KernelGivesUp)),
        (1, Just(RaceAct.SocketIsGone)),
        (6, Of(RaceAct.PeerSends)),
        (2, Just(RaceAct.PeerSendsFin)),
        (1, Just(RaceAct.PeerResets)));

    private static readonly Gen<RaceStep> ServerStep = Gen.Frequency(
        (4, Just(RaceAct.RequestClose)),
        (2, Just(RaceAct.CapLinger)),
        (1, Just(RaceAct.Evict)),
        (1, Just(RaceAct.ServerCloses)),
        (1, Just(RaceAct.InnerAborts)),
        (1, Just(RaceAct.Abort)),
        (1, Just(RaceAct.DrainTimesOut)),
        (1, Just(RaceAct.FaultOutput)), // As a background writer does, which the handler did not wait for.
        (40, Gen.OneOf([.. new[] { 1, 10, 100, 250, 1000, 2000, 3000, 4000 }.Select(static milliseconds =>
            Gen.Const(new RaceStep(RaceAct.Advance, milliseconds)))])));

    // What the others do while nothing but the close is left; mostly to one that lingers.
    private static readonly Gen<RaceStep[]> AnyEnd = Gen.OneOf(
        Gen.Const(Array.Empty<RaceStep>()),
        Gen.Const(Steps(RaceAct.PeerResets)),
        Gen.Const(Steps(RaceAct.KernelTakes, RaceAct.PeerSends, RaceAct.PeerResets)),
        Gen.OneOf([.. new[]
        {
            RaceAct.PeerSendsFin,
            RaceAct.PeerResets,
            RaceAct.CapLinger,
            RaceAct.Evict,
            RaceAct.Abort,
            RaceAct.DrainTimesOut,
            RaceAct.ServerCloses,
            RaceAct.InnerAborts,
            RaceAct.Write,
        }.Select(static act => Gen.Const(Steps(RaceAct.KernelTakes, RaceAct.PeerAcknowledgesFin, RaceAct.PeerSends, act)))]));

    public static readonly Gen<RaceScript> All =
        from quiet in Gen.Bool
        from limit in Gen.Frequency((3, Gen.Const((long?)null)), (1, Gen.Const((long?)0)), (1, Gen.Const((long?)150)))
        from halfCloses in Gen.Frequency((9, Gen.Const(true)), (1, Gen.Const(false)))
        from waits in Gen.Bool
        from delays in Gen.Int[0, int.MaxValue - 1]
        from handler in HandlerStep.Array[0, 8]
        from peer in PeerStep.Array[0, 12]
        from server in ServerStep.Array[0, 10]
        from end in AnyEnd
        select new RaceScript(
            quiet ? LingerUntil.OutputAcknowledged : LingerUntil.PeerFin,
            limit,
            halfCloses,
            waits,
            delays,
            handler,
            peer,
            server,
            end);

    public override string ToString() =>
        $"{LingerUntil} {MaxLingerBytes?.ToString() ?? "any"} {(CanHalfClose ? "FIN" : "left")} {(GoodbyeWaits ? "waits" : "says")} "
        + $"{Delays}: {string.Join(' ', Handler)} | {string.Join(' ', Peer)} | {string.Join(' ', Server)} | {string.Join(' ', End)}";

    private static RaceStep[] Steps(params RaceAct[] acts) => [.. acts.Select(static act => new RaceStep(act, 100_000))];

    private static Gen<RaceStep> Just(RaceAct act) => Gen.Const(new RaceStep(act, 0));

    private static Gen<RaceStep> Of(RaceAct act) => Bytes.Select(bytes => new RaceStep(act, bytes));
}
