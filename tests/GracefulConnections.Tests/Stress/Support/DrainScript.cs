using CsCheck;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>One generated sequence around a coordinator.</summary>
internal sealed record DrainScript(int SpreadWindowMs, DrainStep[] Steps)
{
    /// <summary>With an accepted connection: its handler is busy.</summary>
    public const int Busy = 1;

    /// <summary>With an accepted connection: it ends as soon as it is asked to.</summary>
    public const int EndsWhenAsked = 2;

    /// <summary>With an accepted connection: its handler goes on when it is aborted.</summary>
    public const int IgnoresAbort = 4;

    private static readonly Gen<(DrainAct Act, int Amount)> AnyAct = Gen.Frequency(
        (12, Of(DrainAct.Accept, Gen.Int[0, 7])),
        (10, Of(DrainAct.End, Gen.Int[0, 40])),
        (4, Of(DrainAct.RequestByServer, Gen.Int[0, 40])),
        (4, Of(DrainAct.DrainPart, Gen.Int[0, 63])),
        (1, Of(DrainAct.DrainLive, Gen.Const(0))),
        (1, Of(DrainAct.AnnounceStop, Gen.Const(0))),
        (1, Of(DrainAct.StopServer, Gen.Const(0))),
        (1, Of(DrainAct.BeginStop, Gen.Const(0))),
        (1, Of(DrainAct.AbortNow, Gen.Const(0))),
        (10, Of(DrainAct.Advance, Gen.OneOf([.. new[] { 1, 10, 19, 20, 21, 100, 300, 499, 500, 999, 1000 }.Select(Gen.Const)]))));

    private static readonly Gen<DrainStep> AnyStep =
        from act in AnyAct
        from within in Gen.Frequency((3, Gen.Const(0)), (1, Gen.Int[1, 6]))
        select new DrainStep(act.Act, act.Amount, act.Act == DrainAct.Advance ? 0 : within); // Time stands still within a step.

    public static readonly Gen<DrainScript> All =
        from window in Gen.Frequency((3, Gen.Const(0)), (1, Gen.Const(35)), (1, Gen.Const(300)))
        from first in AcceptSome(4)
        from steps in AnyStep.Array[1, 24]
        select new DrainScript(window, [.. first, .. steps]);

    public override string ToString() => $"{nameof(SpreadWindowMs)}={SpreadWindowMs}: {string.Join(", ", Steps)}";

    private static Gen<DrainStep[]> AcceptSome(int most) => Gen.Int[0, 7].Select(static kind => new DrainStep(DrainAct.Accept, kind, 0)).Array[0, most];

    private static Gen<(DrainAct Act, int Amount)> Of(DrainAct act, Gen<int> amount) => amount.Select(amount => (act, amount));
}
