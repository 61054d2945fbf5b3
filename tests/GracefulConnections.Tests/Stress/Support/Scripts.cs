using CsCheck;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>Generates sequences in which the usual is frequent and the end of everything is not the first thing that happens.</summary>
internal static class Scripts
{
    private static readonly Gen<int> Bytes = Gen.Frequency((6, Gen.Int[1, 64]), (2, Gen.Int[65, 900]), (1, Gen.Int[901, 3000]));

    private static readonly Gen<Step> Steps = Gen.Frequency(
        (10, Bytes.Select(static bytes => new Step(Act.Write, bytes))),
        (1, Bytes.Select(static bytes => new Step(Act.WriteBesidePending, bytes))),
        (4, Bytes.Select(static bytes => new Step(Act.Buffer, bytes))),
        (3, Just(Act.Flush)),
        (1, Just(Act.CancelFlush)),
        (5, Bytes.Select(static bytes => new Step(Act.Read, bytes))),
        (8, Just(Act.ReadAll)),
        (1, Just(Act.CancelRead)),
        (1, Just(Act.CompleteOutput)),
        (1, Just(Act.FailOutput)),
        (1, Just(Act.CompleteInput)),
        (4, Just(Act.Return)),
        (1, Just(Act.Throw)),
        (1, Just(Act.ThrowCanceled)),
        (12, Bytes.Select(static bytes => new Step(Act.PeerSend, bytes))),
        (8, Just(Act.PeerRead)),
        (3, Just(Act.PeerHalfClose)),
        (1, Just(Act.PeerReset)),
        (2, Just(Act.RequestClose)),
        (1, Just(Act.StopServer)),
        (1, Just(Act.Abort)),
        (8, Gen.OneOf([.. new[] { 1, 9, 10, 100, 240, 250, 999, 1000, 2000 }.Select(Gen.Const)]).Select(static milliseconds => new Step(Act.Advance, milliseconds))));

    public static readonly Gen<Script> All =
        from bits in Gen.Int[0, 15]
        from limit in Gen.Frequency((4, Gen.Const((long?)null)), (1, Gen.Const((long?)0)), (1, Gen.Const((long?)100)))
        from goodbye in Gen.Frequency(
            (5, Gen.Const(GoodbyeKind.None)), (2, Gen.Const(GoodbyeKind.Writes)), (1, Gen.Const(GoodbyeKind.Throws)), (1, Gen.Const(GoodbyeKind.WaitsForItsToken)))
        from steps in Steps.Array[1, 24]
        select new Script((bits & 1) == 0, (bits & 2) == 0, (bits & 4) != 0, (bits & 8) == 0, limit, goodbye, steps);

    private static Gen<Step> Just(Act act) => Gen.Const(new Step(act, 0));
}
