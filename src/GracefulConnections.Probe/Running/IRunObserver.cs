using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Running;

/// <summary>Hears how a run goes on. Called by several threads at once.</summary>
internal interface IRunObserver
{
    void OnStarted(string name);

    void OnFinished(ScenarioResult result);
}
