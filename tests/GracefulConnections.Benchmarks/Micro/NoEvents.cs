using GracefulConnections.Transport;

namespace GracefulConnections.Benchmarks.Micro;

/// <summary>Nobody listens.</summary>
internal sealed class NoEvents : ITransportEvents
{
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
