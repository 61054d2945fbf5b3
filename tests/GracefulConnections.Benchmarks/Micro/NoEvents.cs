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

    public LeftOver OnOutputFaulted(Exception exception) => LeftOver.SendThenReset;

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
