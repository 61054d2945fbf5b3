namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>The same stop with stock Kestrel, with the close alone, and with the drain.</summary>
internal static class Comparison
{
    /// <summary>Runs all three at the same time, prints what came, and fails where one is worse than stock.</summary>
    public static async Task<IReadOnlyDictionary<Setup, StopFigures>> RunAsync(
        string what, Func<Setup, Task<StopFigures>> run)
    {
        var setups = Enum.GetValues<Setup>();
        var all = await Task.WhenAll(setups.Select(run));
        var figures = setups.Zip(all).ToDictionary();
        foreach (var (setup, one) in figures)
        {
            TestContext.Current.TestOutputHelper?.WriteLine($"{what}, {setup}: {one}");
        }

        figures[Setup.Closing].AssertNoneWorseThan(figures[Setup.Stock]);
        figures[Setup.Draining].AssertNoneWorseThan(figures[Setup.Stock]);
        return figures;
    }
}
