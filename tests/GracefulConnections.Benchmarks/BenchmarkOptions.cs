using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using GracefulConnections.Benchmarks.Rows;

namespace GracefulConnections.Benchmarks;

/// <summary>How long and how often to measure.</summary>
/// <param name="IsShort">Whether this run only shows that everything runs.</param>
/// <param name="Only">The beginning of the names of the rows to run; <see langword="null"/> runs all.</param>
/// <param name="Rounds">The pairs of windows, one on each server.</param>
/// <param name="Requests">The requests to each server where answers are counted.</param>
internal sealed record BenchmarkOptions(bool IsShort, string? Only, int Rounds, int Requests)
{
    private const int DefaultRounds = 24;
    private const int ShortRounds = 2;
    private const int DefaultRequests = 500;
    private const int ShortRequests = 3; // The functional tests count more of them.
    private const int DefaultCloses = 50_000;
    private const int SoakCloses = 1_000_000;
    private const int DefaultRollingRequests = 2_000;
    private const int SoakRollingRequests = 20_000;

    /// <summary>Gets the pairs for which one pair of server processes is used. Each process has its own luck with its code and memory layout, so that one alone would be a bias.</summary>
    public int RoundsPerProcess { get; } = 6;

    /// <summary>Gets how long one server is loaded before the first window, at least.</summary>
    public TimeSpan WarmUp { get; } = TimeSpan.FromSeconds(IsShort ? 0.3 : 4);

    /// <summary>Gets how many windows more at most, until the runtime has nothing left to compile in one.</summary>
    public int MaxExtraWarmUps { get; } = IsShort ? 0 : 20;

    /// <summary>Gets how long one server is measured at a time: short, so that what disturbs a machine disturbs both of a pair.</summary>
    public TimeSpan Window { get; } = TimeSpan.FromSeconds(IsShort ? 0.3 : 1);

    /// <summary>Gets how many hostile connections there are at most.</summary>
    public int Closes { get; init; } = DefaultCloses;

    /// <summary>Gets whether only the rows are run that count what must never happen.</summary>
    public bool IsSoak { get; init; }

    /// <summary>Gets how many requests of each kind there are at least while replicas are restarted.</summary>
    public int RollingRequests => IsSoak ? SoakRollingRequests : DefaultRollingRequests;

    /// <summary>Gets after what time no further hostile connection begins.</summary>
    public TimeSpan HostileTime { get; } = IsShort ? TimeSpan.FromSeconds(15) : TimeSpan.MaxValue;

    /// <summary>Gets what all hostile connections follow from.</summary>
    public int Seed { get; init; } = Random.Shared.Next();

    public static bool TryParse(string[] args, IBenchmark[] benchmarks, [NotNullWhen(true)] out BenchmarkOptions? options, [NotNullWhen(false)] out string? error)
    {
        options = null;
        error = null;
        var isShort = false;
        string? only = null;
        int? rounds = null;
        int? requests = null;
        int? closes = null;
        int? seed = null;
        var isSoak = false;
        for (var i = 0; i < args.Length; i++)
        {
            switch (args[i])
            {
                case "--short":
                    isShort = true;
                    break;
                case "--only" when i + 1 < args.Length && benchmarks.Any(benchmark => benchmark.Name.StartsWith(args[i + 1], StringComparison.OrdinalIgnoreCase)):
                    only = args[++i];
                    break;
                case "--rounds" when i + 1 < args.Length && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) && parsed > 0:
                    rounds = parsed;
                    i++;
                    break;
                case "--requests" when i + 1 < args.Length && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) && parsed > 0:
                    requests = parsed;
                    i++;
                    break;
                case "--soak":
                    isSoak = true;
                    closes ??= SoakCloses;
                    break;
                case "--closes" when i + 1 < args.Length && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) && parsed > 0:
                    closes = parsed;
                    i++;
                    break;
                case "--seed" when i + 1 < args.Length && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var parsed):
                    seed = parsed;
                    i++;
                    break;
                default:
                    error = $"""
                        Cannot read "{string.Join(' ', args)}" from "{args[i]}" on.
                        Usage: [--short] [--only <row>] [--rounds <number>] [--requests <number>] [--soak] [--closes <number>] [--seed <number>] | --micro [BenchmarkDotNet options]
                        Rows: {string.Join(", ", benchmarks.Select(benchmark => benchmark.Name))}
                        """;
                    return false;
            }
        }

        options = new BenchmarkOptions(isShort, only, rounds ?? (isShort ? ShortRounds : DefaultRounds), requests ?? (isShort ? ShortRequests : DefaultRequests));
        options = options with { Closes = closes ?? options.Closes, Seed = seed ?? options.Seed, IsSoak = isSoak };
        return true;
    }

    /// <summary>Returns whether a row is to be run.</summary>
    public bool Has(IBenchmark benchmark) =>
        (!IsSoak || benchmark.IsSoak)
        && (Only is null || benchmark.Name.StartsWith(Only, StringComparison.OrdinalIgnoreCase));

    public override string ToString() =>
        $"{Rounds} pairs of {Window.TotalSeconds:0.0} s after {WarmUp.TotalSeconds:0.0} s of warm-up and more until nothing is compiled, " +
        $"new processes every {RoundsPerProcess} pairs";
}
