using GracefulConnections.Transport;

namespace GracefulConnections.Benchmarks.Micro;

/// <summary>Nobody listens.</summary>
internal sealed class NoEvents : ITransportEvents
{
    private Activity _activity = new(TimeProvider.System);

    public ref Activity Activity => ref _activity;

    public void OnOutputCompleted()
    {
    }

    public bool OnOutputFaulted(Exception exception) => false;

    public void OnFinSent()
    {
    }

    public void OnPeerFin()
    {
    }

    public void OnBytesDiscarded()
    {
    }

    public void OnFaulted(Exception exception) => throw exception;
}
