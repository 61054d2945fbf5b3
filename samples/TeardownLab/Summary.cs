namespace TeardownLab;

/// <summary>The report in a sentence.</summary>
internal static class Summary
{
    public const string Footnote =
        "* Loses by intent: the peer resets itself.";

    public static string Of(IReadOnlyList<Run> runs)
    {
        var stock = runs.Where(run => run.Server == ServerKind.Stock && !run.Scenario.LosesByIntent).ToList();
        var graceful = runs.Where(run => run.Server == ServerKind.Graceful && !run.Scenario.LosesByIntent).ToList();
        return $"Of {stock.Sum(run => run.Scenario.WrittenBytes):N0} bytes that had to arrive, stock Kestrel lost {stock.Sum(run => run.LostBytes):N0} "
            + $"in {stock.Count(run => run.HasUnintendedLoss)} of {stock.Count} scenarios, {stock.Count(run => run is { HasUnintendedLoss: true, PeerSaw: PeerSaw.Eof })} of them "
            + $"behind an EOF that looks like success; UseGracefulShutdown() lost {graceful.Sum(run => run.LostBytes):N0}.";
    }
}
