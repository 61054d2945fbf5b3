using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <summary>Runs the steps of <c>AddDrainStep</c>, one after another, within a time for all of them.</summary>
internal sealed class DrainSteps(IEnumerable<IDrainStep> steps, IServiceProvider services)
{
    /// <param name="context">Where it is told how they went.</param>
    /// <param name="budget">The time for all of them.</param>
    /// <param name="hurry">Cancelled when nobody waits any more.</param>
    public async Task RunAsync(DrainContext context, TimeSpan budget, CancellationToken hurry)
    {
        var deadline = context.Now + budget;
        var timeout = new DrainSignal("a drain step's token", context);
        foreach (var step in steps)
        {
            var rest = deadline - context.Now;
            if (rest <= TimeSpan.Zero || hurry.IsCancellationRequested)
            {
                var cause = hurry.IsCancellationRequested
                    ? "the host was told to end at once"
                    : $"the steps before it took the {budget.TotalSeconds} s for all of them, half of DrainTimeout";
                Log.DrainStepSkipped(context.Logger, step.Name, cause);
                continue;
            }

            // On the thread pool, because a step may block before its first await.
            var run = Task.Run(() => step.Run(services, timeout.Token), CancellationToken.None);
            await run.WaitAsync(rest, context.Time, hurry).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!run.IsCompleted)
            {
                Log.DrainStepLate(context.Logger, step.Name, budget.TotalSeconds);
                timeout.Fire();
            }

            context.LogFault(run, step.Name, Log.DrainStepFailed);
        }
    }
}
