using CsCheck;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One generated sequence around a closer.</summary>
internal sealed record CloserScript(LingerUntil LingerUntil, long? MaxLingerBytes, CloserStep[] Steps)
{
    private static readonly Gen<int> Bytes = Gen.Frequency((4, Gen.Int[1, 100]), (1, Gen.Int[101, 2000]));

    private static readonly Gen<CloserStep> AnyStep = Gen.Frequency(
        (5, Of(CloserAct.Write)),
        (1, Just(CloserAct.CompleteOutput)),
        (1, Just(CloserAct.CompleteInput)),
        (4, Just(CloserAct.Return)),
        (2, Just(CloserAct.RequestClose)),
        (1, Just(CloserAct.Abort)),
        (1, Just(CloserAct.DrainTimesOut)),
        (8, Of(CloserAct.KernelTakes)),
        (8, Of(CloserAct.PeerAcknowledges)),
        (6, Just(CloserAct.PeerAcknowledgesFin)),
        (1, Just(CloserAct.KernelGivesUp)),
        (6, Of(CloserAct.PeerSends)),
        (2, Just(CloserAct.PeerSendsFin)),
        (1, Just(CloserAct.PeerResets)),
        (1, Just(CloserAct.AnotherLingers)),
        (12, Gen.OneOf([.. new[] { 1, 10, 99, 100, 101, 250, 251, 999, 1000, 1999, 2000, 2999, 3000 }.Select(static milliseconds =>
            Gen.Const(new CloserStep(CloserAct.Advance, milliseconds)))])));

    public static readonly Gen<CloserScript> All =
        from quiet in Gen.Bool
        from limit in Gen.Frequency((3, Gen.Const((long?)null)), (1, Gen.Const((long?)0)), (1, Gen.Const((long?)150)))
        from steps in AnyStep.Array[1, 30]
        select new CloserScript(quiet ? LingerUntil.OutputAcknowledged : LingerUntil.PeerFin, limit, steps);

    public override string ToString() => $"{LingerUntil}, at most {MaxLingerBytes?.ToString() ?? "any"} bytes: {string.Join(", ", Steps)}";

    private static Gen<CloserStep> Just(CloserAct act) => Gen.Const(new CloserStep(act, 0));

    private static Gen<CloserStep> Of(CloserAct act) => Bytes.Select(bytes => new CloserStep(act, bytes));
}
