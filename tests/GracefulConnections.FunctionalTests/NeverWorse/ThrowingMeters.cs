using System.Diagnostics.Metrics;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A listener to the meters of one host that throws at every measurement while it is told to.</summary>
internal sealed class ThrowingMeters : IDisposable
{
    private readonly MeterListener _listener = new();
    private int _throwCount;
    private volatile bool _isThrowing;

    public ThrowingMeters(IMeterFactory host)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Name == nameof(GracefulConnections) && ReferenceEquals(instrument.Meter.Scope, host))
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((_, _, _, _) => Throw());
        _listener.SetMeasurementEventCallback<double>((_, _, _, _) => Throw());
        _listener.Start();
    }

    /// <summary>Gets how often it threw.</summary>
    public int ThrowCount => Volatile.Read(ref _throwCount);

    /// <summary>Begins or ends to throw.</summary>
    public void Throw(bool isThrowing) => _isThrowing = isThrowing;

    public void Dispose() => _listener.Dispose();

    private void Throw()
    {
        if (_isThrowing)
        {
            Interlocked.Increment(ref _throwCount);
            throw new InvalidTimeZoneException("The listener's own.");
        }
    }
}
