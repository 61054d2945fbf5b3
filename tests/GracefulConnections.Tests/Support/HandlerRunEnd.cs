using GracefulConnections.Pipeline;

namespace GracefulConnections.Tests.Support;

/// <summary>Runs a handler to its end, as the middleware does.</summary>
internal static class HandlerRunEnd
{
    /// <returns>The handler's task, which has completed; <see langword="null"/> when it was abandoned.</returns>
    public static async Task<Task?> EndAsync(this HandlerRun run)
    {
        await run.RunAsync();
        return run.IsAbandoned ? null : run.Handler;
    }
}
