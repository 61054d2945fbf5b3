using System.Runtime.InteropServices;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Draining;

/// <summary>
/// Tells a second request to stop from a repetition of the first. Supervisors send SIGTERM twice, and a terminal sends
/// SIGINT to <c>dotnet run</c> and to the server at once.
/// </summary>
internal sealed class StopSignals(DrainCoordinator coordinator, DrainContext context) : IDisposable
{
    private static readonly TimeSpan SameRequestTime = TimeSpan.FromMilliseconds(500);

    private PosixSignalRegistration[] _registrations = [];
    private TimeSpan? _first;
    private Thread? _firstThread;

    internal enum Effect
    {
        /// <summary>No stop has begun, so the signal is the host's, or does what it does by default.</summary>
        PassOn,

        /// <summary>The stop has begun, and goes on.</summary>
        Ignore,

        /// <summary>An operator does not want to wait.</summary>
        Abort,
    }

    /// <summary>Decides what a signal means that comes now.</summary>
    /// <param name="first">When the first signal came, as far as is known.</param>
    /// <param name="isCause">Whether that signal's own thread began the stop.</param>
    /// <param name="stopBegan">When the stop began.</param>
    /// <param name="signal">The signal.</param>
    /// <param name="now">When it came.</param>
    /// <returns>The effect, and when the first signal came as far as is known after this one.</returns>
    public static (Effect Effect, TimeSpan First) On(
        TimeSpan? first, bool isCause, TimeSpan? stopBegan, PosixSignal signal, TimeSpan now)
    {
        if (stopBegan is null)
        {
            return (Effect.PassOn, now); // The last one before a stop is the one that began it.
        }

        // One that came long before the stop did something else, and the stop began by code. But on a busy machine a
        // signal's own thread may take long.
        if (first is not { } earlier || !(isCause || stopBegan - earlier <= SameRequestTime))
        {
            return (Effect.Ignore, now);
        }

        var isSame = now - earlier <= SameRequestTime || signal == PosixSignal.SIGTERM;
        return (isSame ? Effect.Ignore : Effect.Abort, earlier);
    }

    /// <summary>
    /// Begins to listen. The host's own handlers are registered before, so they run after this one: all handlers of a
    /// signal run on one thread, the latest registered first.
    /// </summary>
    public void Listen() => _registrations = Array.ConvertAll(
        [PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGQUIT],
        signal => PosixSignalRegistration.Create(signal, OnSignal));

    // Two threads may stop one host, such as the program itself and the test that made it.
    public void Dispose() =>
        Array.ForEach(Interlocked.Exchange(ref _registrations, []), static registration => registration.Dispose());

    // Each signal has a thread of its own, on which the host's handler runs behind this one.
    private void OnSignal(PosixSignalContext signal)
    {
        Effect effect;
        lock (context.Lock)
        {
            var (now, stop) = (context.Now, context.Stop);
            var isCause = stop is not null && stop.Item2 == _firstThread;
            (effect, var first) = On(_first, isCause, stop?.Item1, signal.Signal, now);
            _firstThread = first == now ? Thread.CurrentThread : _firstThread;
            _first = first;
        }

        signal.Cancel |= effect != Effect.PassOn; // The host exits by itself, and soon.
        if (effect == Effect.Abort)
        {
            var count = coordinator.ConnectionCount;
            Log.AbortRequested(context.Logger, $"{signal.Signal}", count, Noun.Connections.Of(count));
            coordinator.AbortNow();
        }
    }
}
