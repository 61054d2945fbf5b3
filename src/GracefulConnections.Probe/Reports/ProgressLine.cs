using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Running;

namespace GracefulConnections.Probe.Reports;

/// <summary>
/// Says how a run goes on: on a terminal one line that changes, elsewhere one line for each scenario that has finished.
/// </summary>
internal sealed class ProgressLine : IRunObserver, IDisposable
{
    private const int Width = 100;
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly TextWriter _error;
    private readonly bool _isLive;
    private readonly long _began = TimeProvider.System.GetTimestamp();
    private readonly Lock _lock = new();
    private readonly List<string> _running = [];
    private readonly ITimer? _timer;
    private int _done;

    public ProgressLine(TextWriter error, bool isLive)
    {
        _error = error;
        _isLive = isLive;
        _timer = isLive ? TimeProvider.System.CreateTimer(_ => Draw(), null, Interval, Interval) : null;
    }

    public void OnStarted(string name)
    {
        lock (_lock)
        {
            _running.Add(name);
        }

        Draw();
    }

    public void OnFinished(ScenarioResult result)
    {
        lock (_lock)
        {
            _running.Remove(result.Name);
            _done++;
            if (!_isLive)
            {
                _error.WriteLine($"{result.Section} {result.Name}: {ReportNames.Of(result.Verdict)}");
            }
        }

        Draw();
    }

    /// <summary>Takes the line away, so that the report begins at the left.</summary>
    public void Clear()
    {
        _timer?.Dispose();
        lock (_lock)
        {
            _running.Clear();
            if (_isLive)
            {
                _error.Write($"\r{new string(' ', Width)}\r");
            }
        }
    }

    public void Dispose() => _timer?.Dispose();

    private void Draw()
    {
        lock (_lock)
        {
            if (_isLive && _running.Count > 0)
            {
                var text =
                    $"{TimeProvider.System.GetElapsedTime(_began).TotalSeconds:0} s, " +
                    $"{_done} done, running: {string.Join(", ", _running)}";
                _error.Write($"\r{(text.Length > Width ? $"{text[..(Width - 3)]}..." : text.PadRight(Width))}");
            }
        }
    }
}
