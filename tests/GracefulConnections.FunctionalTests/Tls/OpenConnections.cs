using System.Diagnostics.Metrics;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>How many connections one server has open, by its own and by Kestrel's account.</summary>
internal sealed class OpenConnections : IDisposable
{
    private readonly MeterListener _listener = new();
    private long _ours;
    private long _kestrels;
    private long _opened;

    public OpenConnections(TestServer server)
    {
        var factory = server.Services.GetRequiredService<IMeterFactory>();
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Meter.Scope == factory && instrument.Name is "graceful.connections.active" or "kestrel.active_connections")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((instrument, value, _, _) =>
        {
            Interlocked.Add(ref instrument.Name == "kestrel.active_connections" ? ref _kestrels : ref _ours, value);
            if (value > 0)
            {
                Interlocked.Increment(ref _opened);
            }
        });
        _listener.Start();
    }

    /// <summary>Gets whether there were some, and none is left.</summary>
    public bool AreOver => Volatile.Read(ref _opened) > 0 && Volatile.Read(ref _ours) == 0 && Volatile.Read(ref _kestrels) == 0;

    public void Dispose() => _listener.Dispose();
}
