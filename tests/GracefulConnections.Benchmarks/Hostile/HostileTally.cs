using System.Text;
using GracefulConnections.Testing;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Counts how the connections of a run ended, and what was wrong. Thread-safe.</summary>
internal sealed class HostileTally
{
    private const int MostDescribed = 4; // Of each kind.

    private static readonly HostileViolation[] Violations = Enum.GetValues<HostileViolation>();
    private static readonly HostileHandler[] Handlers = Enum.GetValues<HostileHandler>();

    private readonly Lock _lock = new();
    private readonly Dictionary<(HostileHandler, CloseOutcome), int> _outcomes = [];
    private readonly Dictionary<(HostileHandler, HostileViolation), int> _violations = [];
    private readonly List<string> _descriptions = [];
    private readonly List<string> _ends = [];
    private int _endFailures;
    private TimeSpan _elapsed;

    /// <summary>Gets how many things were wrong.</summary>
    public int Failures
    {
        get
        {
            lock (_lock)
            {
                return _violations.Values.Sum() + _endFailures;
            }
        }
    }

    public void Add(HostilePlay play)
    {
        var verdict = HostileVerdict.Judge(play);
        lock (_lock)
        {
            if (!play.IsHung)
            {
                Count(_outcomes, (play.Script.Handler, play.Result.Outcome));
            }

            if (verdict is var (violation, text))
            {
                Count(_violations, (play.Script.Handler, violation));
                if (_violations.Where(pair => pair.Key.Item2 == violation).Sum(static pair => pair.Value) <= MostDescribed)
                {
                    _descriptions.Add($"{Name(violation)}: {text}. {play}");
                }
            }
        }
    }

    /// <summary>Adds what is known only once the server is gone.</summary>
    public void Finish(
        TimeSpan elapsed, int descriptorsLeft, UnobservedCount unobserved, ErrorCount errors, PoisoningMemoryPoolFactory memory)
    {
        lock (_lock)
        {
            _elapsed = elapsed;
            End("descriptors left", descriptorsLeft);
            End("unobserved exceptions", unobserved.Count, unobserved.First);
            End("errors of the library's own", errors.Count, errors.First);
            string? violated = null;
            try
            {
                memory.ThrowIfViolated();
            }
            catch (InvalidOperationException exception)
            {
                violated = exception.Message;
            }

            End("pools violated", violated is null ? 0 : 1, violated);
        }
    }

    public override string ToString()
    {
        lock (_lock)
        {
            var outcomes = _outcomes.Keys.Select(static key => key.Item2).Distinct().Order().ToArray();
            var text = new StringBuilder();
            string[] heads = [.. outcomes.Select(static outcome => $"{outcome}"), "closes", .. Violations.Select(Name)];
            Row("", heads);
            foreach (var handler in Handlers)
            {
                Row($"{handler}", Numbers(outcomes, key => key == handler));
            }

            Row("all", Numbers(outcomes, static _ => true));
            var total = _outcomes.Values.Sum();
            text.AppendLine().AppendLine($"  {total} closes in {_elapsed.TotalSeconds:0} s; {string.Join(", ", _ends)}");
            _descriptions.ForEach(description => text.AppendLine($"  {description}"));
            return text.ToString();

            void Row(string name, string[] cells) => text.AppendLine(
                $"  {name,-18}{string.Concat(cells.Select((cell, i) => cell.PadLeft(Math.Max(heads[i].Length + 2, 9))))}");
        }
    }

    private static string Name(HostileViolation violation) => violation switch
    {
        HostileViolation.Lost => "LOST",
        HostileViolation.Wrong => "WRONG",
        HostileViolation.Poisoned => "POISONED",
        _ => "HUNG",
    };

    private string[] Numbers(CloseOutcome[] outcomes, Func<HostileHandler, bool> isIn)
    {
        var closes = outcomes.Select(outcome => Sum(_outcomes, key => isIn(key.Item1) && key.Item2 == outcome)).ToArray();
        var wrong = Violations.Select(violation => Sum(_violations, key => isIn(key.Item1) && key.Item2 == violation));
        return [.. closes.Append(closes.Sum()).Concat(wrong).Select(static number => $"{number}")];
    }

    private static int Sum<TKey>(Dictionary<TKey, int> counts, Func<TKey, bool> isIn)
        where TKey : notnull => counts.Where(pair => isIn(pair.Key)).Sum(static pair => pair.Value);

    private static void Count<TKey>(Dictionary<TKey, int> counts, TKey key)
        where TKey : notnull => counts[key] = counts.GetValueOrDefault(key) + 1;

    private void End(string name, int count, string? detail = null)
    {
        _ends.Add($"{count} {name}");
        _endFailures += count;
        if (detail is not null)
        {
            _descriptions.Add(detail);
        }
    }
}
