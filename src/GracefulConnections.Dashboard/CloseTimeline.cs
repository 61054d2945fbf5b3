using System.Diagnostics.Metrics;

namespace GracefulConnections.Dashboard;

/// <summary>
/// Counts how connections end, second by second, from the library's own metrics. It listens from the first viewer to
/// the last one, because a meter that nobody listens to costs nothing.
/// </summary>
/// <param name="time">The clock.</param>
/// <param name="meters">
/// Who made the host's meters: another host of the process has meters of the same name. <see langword="null"/> if
/// nobody did, and all hosts share one.
/// </param>
internal sealed class CloseTimeline(TimeProvider time, IMeterFactory? meters) : IDisposable
{
    /// <summary>How many seconds are kept.</summary>
    public const int Seconds = 120;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<long, (Dictionary<string, int> Outcomes, long LostBytes)> _seconds = [];
    private MeterListener? _listener;

    /// <summary>Gets the bytes that were not delivered.</summary>
    public long LostBytes { get; private set; }

    public void Start()
    {
        if (_listener is not null)
        {
            return;
        }

        _listener = new MeterListener
        {
            InstrumentPublished = (instrument, listener) =>
            {
                if (instrument.Meter.Name == GracefulTelemetry.MeterName
                    && (instrument.Meter.Scope is null || instrument.Meter.Scope == meters)
                    && instrument.Name is GracefulTelemetry.CloseDuration or GracefulTelemetry.UnacknowledgedBytes)
                {
                    listener.EnableMeasurementEvents(instrument);
                }
            },
        };
        _listener.SetMeasurementEventCallback<double>((_, _, tags, _) => Add(OutcomeOf(tags), 0));
        _listener.SetMeasurementEventCallback<long>((_, bytes, _, _) => Add(null, bytes));
        _listener.Start();
    }

    public void Stop()
    {
        _listener?.Dispose();
        _listener = null;
        lock (_lock)
        {
            _seconds.Clear();
            LostBytes = 0;
        }
    }

    public IReadOnlyList<CloseSecond> Get()
    {
        lock (_lock)
        {
            Forget();
            return [.. _seconds.Select(static second => new CloseSecond(
                second.Key, new Dictionary<string, int>(second.Value.Outcomes), second.Value.LostBytes))];
        }
    }

    public void Dispose() => _listener?.Dispose();

    private static string? OutcomeOf(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        foreach (var tag in tags)
        {
            if (tag.Key == GracefulTelemetry.OutcomeTag)
            {
                return tag.Value as string;
            }
        }

        return null;
    }

    private void Add(string? outcome, long lostBytes)
    {
        lock (_lock)
        {
            Forget();
            var now = Now;
            if (!_seconds.TryGetValue(now, out var second))
            {
                second = ([], 0);
            }

            if (outcome is not null)
            {
                second.Outcomes[outcome] = second.Outcomes.GetValueOrDefault(outcome) + 1;
            }

            LostBytes += lostBytes;
            _seconds[now] = (second.Outcomes, second.LostBytes + lostBytes);
        }
    }

    private long Now => time.GetUtcNow().ToUnixTimeSeconds();

    private void Forget()
    {
        while (_seconds.Count > 0 && _seconds.Keys.First() is var first && first <= Now - Seconds)
        {
            _seconds.Remove(first);
        }
    }
}
