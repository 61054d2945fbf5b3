using System.Collections.Concurrent;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Support;

/// <summary>Remembers what a direction told.</summary>
internal sealed class RecordingEvents(TimeProvider? clock = null) : ITransportEvents
{
    private Activity _activity = new(clock ?? TimeProvider.System);
    private readonly ConcurrentQueue<string> _told = new();

    public ref Activity Activity => ref _activity;

    public IEnumerable<string> Told => _told;

    public Exception? Fault { get; private set; }

    public void OnOutputCompleted() => _told.Enqueue(nameof(OnOutputCompleted));

    /// <summary>Gets or sets whether our FIN follows an output that was completed with an error.</summary>
    public bool SendsFinBehindFault { get; set; }

    public LeftOver OnOutputFaulted(Exception exception)
    {
        _told.Enqueue(nameof(OnOutputFaulted));
        return SendsFinBehindFault ? LeftOver.Send : LeftOver.SendThenReset;
    }

    public void OnWaiting() => _told.Enqueue(nameof(OnWaiting));

    public void OnAllSent() => _told.Enqueue(nameof(OnAllSent));

    public void OnFinSent() => _told.Enqueue(nameof(OnFinSent));

    public void OnPeerFin() => _told.Enqueue(nameof(OnPeerFin));

    public void OnBytesDiscarded() => _told.Enqueue(nameof(OnBytesDiscarded));

    public void OnFaulted(Exception exception)
    {
        Fault = exception;
        _told.Enqueue(nameof(OnFaulted));
    }
}
