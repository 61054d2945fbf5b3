namespace GracefulConnections.Benchmarks.Reporting;

/// <summary>What was measured, window by window: the n-th value of one server and the n-th of the other are a pair.</summary>
internal sealed class Figures
{
    private readonly Dictionary<(Variant, string), List<double>> _values = [];
    private readonly List<Count> _counts = [];

    /// <summary>Gets what was counted and not measured.</summary>
    public IReadOnlyList<Count> Counts => _counts;

    /// <summary>Gets why nothing was measured; <see langword="null"/> where it was.</summary>
    public string? LeftOutBecause { get; private set; }

    /// <summary>Gets what was counted in a table of its own; <see langword="null"/> where nothing was.</summary>
    public (string Text, int Failures)? Table { get; private set; }

    public void AddTable(string text, int failures) => Table = (text, failures);

    public void Add(Variant variant, string figure, double value)
    {
        if (!_values.TryGetValue((variant, figure), out var values))
        {
            _values[(variant, figure)] = values = [];
        }

        values.Add(value);
    }

    public void LeaveOut(string reason) => LeftOutBecause = reason;

    public void AddCount(Count count) => _counts.Add(count);

    public IReadOnlyList<double> Get(Variant variant, string figure) => _values[(variant, figure)];
}
