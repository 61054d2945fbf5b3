using System.Collections.Concurrent;
using System.Diagnostics.Metrics;

namespace GracefulConnections.Tests.Support;

/// <summary>Makes meters, listens to nothing but them and remembers what they measured.</summary>
internal sealed class RecordingMeters : IMeterFactory
{
    private readonly MeterListener _listener = new();
    private readonly ConcurrentQueue<Measured> _measured = new();
    private readonly List<Instrument> _instruments = [];

    public RecordingMeters()
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope == this)
            {
                _instruments.Add(instrument);
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => _measured.Enqueue(new Measured(instrument.Name, value, Format(tags))));
        _listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => _measured.Enqueue(new Measured(instrument.Name, value, Format(tags))));
        _listener.SetMeasurementEventCallback<double>((instrument, value, tags, _) => _measured.Enqueue(new Measured(instrument.Name, value, Format(tags))));
        _listener.Start();
    }

    public IReadOnlyList<Instrument> Instruments => _instruments;

    public Meter Create(MeterOptions options)
    {
        options.Scope = this;
        return new Meter(options);
    }

    /// <summary>Asks the instruments that are asked.</summary>
    public void Observe() => _listener.RecordObservableInstruments();

    /// <summary>Returns what an instrument measured, in order.</summary>
    public IEnumerable<Measured> Of(string instrument) => _measured.Where(measured => measured.Instrument == instrument);

    /// <summary>Returns the sum of what an instrument measured.</summary>
    public double SumOf(string instrument) => Of(instrument).Sum(measured => measured.Value);

    public void Dispose() => _listener.Dispose();

    private static string Format(ReadOnlySpan<KeyValuePair<string, object?>> tags) =>
        string.Join(' ', tags.ToArray().OrderBy(tag => tag.Key, StringComparer.Ordinal).Select(tag => $"{tag.Key}={tag.Value}"));

    public sealed record Measured(string Instrument, double Value, string Tags);
}
