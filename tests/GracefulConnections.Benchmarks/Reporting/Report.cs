using System.Globalization;
using GracefulConnections.Benchmarks.Rows;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>Prints each figure beside its budget.</summary>
internal static class Report
{
    private const double Noise = 0.5; // Bytes: less is not an object, but a timer that ran in one of the windows.

    /// <returns>How many budgets fall short.</returns>
    public static int Print(IBenchmark benchmark, Figures figures)
    {
        Console.WriteLine();
        Console.WriteLine($"{benchmark.Name}: {benchmark.Description}");
        return benchmark.Baselines.Sum(baseline => Print(benchmark, baseline, figures));
    }

    /// <summary>Says that a row was left out.</summary>
    /// <returns>1 where that must not be, else 0.</returns>
    public static int PrintLeftOut(IBenchmark benchmark, string reason)
    {
        Console.WriteLine();
        Console.WriteLine($"{benchmark.Name}: left out. {reason}");
        return InstalledProgram.IsRequired ? 1 : 0;
    }

    private static int Print(IBenchmark benchmark, Variant baseline, Figures figures)
    {
        Console.WriteLine(Format("", Name(baseline), "ours", "compared", "quartiles", "min .. max", "must", "aim", ""));
        var shortfalls = 0;
        foreach (var budget in Budgets.All.Where(budget => budget.Benchmark == benchmark.Name))
        {
            var ours = figures.Get(Variant.Graceful, budget.Figure);
            var stock = budget.Comparison == Comparison.OursAtMost ? ours : figures.Get(baseline, budget.Figure);
            var isRatio = budget.Comparison is Comparison.RatioAtLeast or Comparison.RatioAtMost;
            var compared = stock.Zip(ours, (s, o) => isRatio ? o / s : budget.Comparison == Comparison.OursAtMost ? o : o - s).Order().ToArray();
            var median = Quantile(compared, 0.5);
            var verdict = GetVerdict(budget, median);
            shortfalls += verdict == Verdict.FallsShort ? 1 : 0;
            Console.WriteLine(Format(
                budget.Figure,
                budget.Comparison == Comparison.OursAtMost ? "" : Number(Quantile([.. stock.Order()], 0.5)),
                Number(Quantile([.. ours.Order()], 0.5)),
                Compared(median),
                $"{Compared(Quantile(compared, 0.25))} .. {Compared(Quantile(compared, 0.75))}",
                $"{Compared(compared[0])} .. {Compared(compared[^1])}",
                Limit(budget, budget.Must),
                Limit(budget, budget.Aim),
                Text(verdict)));

            string Compared(double value) => isRatio ? $"x{Fixed(value, 3)}" : Fixed(value, Math.Abs(value) < 10 ? 2 : 0);
        }

        return shortfalls;
    }

    /// <summary>Prints what was counted.</summary>
    /// <returns>How many of ours did not succeed.</returns>
    public static int PrintCounts(IBenchmark benchmark, Figures figures)
    {
        Console.WriteLine();
        Console.WriteLine($"{benchmark.Name}: {benchmark.Description}");
        Console.WriteLine($"  {"",-32}{"tried",10}{"stock",10}{"ours",10}");
        foreach (var count in figures.Counts)
        {
            Console.WriteLine($"  {count.Name,-32}{count.Tried,10}{count.Stock,10}{count.Ours,10}  {(count.Ours == count.Tried ? "all" : "FAILS")}");
        }

        return figures.Counts.Sum(static count => count.Tried - count.Ours);
    }

    /// <summary>Prints a row that has a table of its own.</summary>
    /// <returns>How many things in it are wrong.</returns>
    public static int PrintTable(IBenchmark benchmark, (string Text, int Failures) table)
    {
        Console.WriteLine();
        Console.WriteLine($"{benchmark.Name}: {benchmark.Description}");
        Console.WriteLine(table.Text);
        return table.Failures;
    }

    public static void PrintSummary(int shortfalls, int failures)
    {
        Console.WriteLine();
        Console.WriteLine("Medians. Compared: of the pairs, ours divided by the other's (x) or minus the other's; ours alone where nothing stands beside it.");
        Console.WriteLine(shortfalls == 0 ? "All budgets are met." : $"{shortfalls} budgets fall short.");
        if (failures > 0)
        {
            Console.WriteLine($"FAILED: {failures} of what ours must do every time, or of the rows, did not succeed.");
        }
    }

    private static Verdict GetVerdict(Budget budget, double compared)
    {
        if (budget is { Must: null, Aim: null })
        {
            return Verdict.NoBudget;
        }

        var slack = budget.Comparison == Comparison.DifferenceAtMost ? Noise : 0;
        var sign = budget.Comparison == Comparison.RatioAtLeast ? -1 : 1;
        return Meets(budget.Aim) ? Verdict.MeetsAim
            : Meets(budget.Must) ? Verdict.MeetsMust
            : budget.Must is null ? Verdict.MissesAim
            : Verdict.FallsShort;

        bool Meets(double? limit) => sign * compared <= (sign * limit) + slack;
    }

    private static string Name(Variant baseline) => baseline switch
    {
        Variant.Stock => "stock",
        Variant.ShutdownLoop => "floor",
        Variant.HaProxy => "HAProxy",
        Variant.Nginx => "nginx",
        _ => baseline.ToString(),
    };

    private static string Text(Verdict verdict) => verdict switch
    {
        Verdict.MeetsAim => "meets aim",
        Verdict.MeetsMust => "meets must",
        Verdict.MissesAim => "misses aim",
        Verdict.FallsShort => "FALLS SHORT",
        _ => "no budget",
    };

    private static string Limit(Budget budget, double? limit) =>
        limit is { } value ? $"{(budget.Comparison == Comparison.RatioAtLeast ? ">=" : "<=")} {value.ToString("0.##", CultureInfo.InvariantCulture)}" : "";

    private static string Number(double value) => Fixed(value, value < 100 ? 2 : 0);

    private static string Fixed(double value, int digits) => value.ToString($"F{digits}", CultureInfo.InvariantCulture);

    private static string Format(string figure, string stock, string ours, string compared, string quartiles, string range, string must, string aim, string verdict) =>
        $"  {figure,-32}{stock,10}{ours,10}{compared,10}  {quartiles,-18}  {range,-18}  {must,-8}  {aim,-8}  {verdict}".TrimEnd();

    private static double Quantile(double[] sorted, double fraction)
    {
        var position = fraction * (sorted.Length - 1);
        var below = (int)position;
        return below + 1 < sorted.Length ? sorted[below] + ((position - below) * (sorted[below + 1] - sorted[below])) : sorted[below];
    }
}
