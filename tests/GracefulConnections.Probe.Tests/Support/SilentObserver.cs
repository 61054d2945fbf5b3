using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Running;

namespace GracefulConnections.Probe.Tests.Support;

internal sealed class SilentObserver : IRunObserver
{
    public void OnStarted(string name)
    {
    }

    public void OnFinished(ScenarioResult result)
    {
    }
}
