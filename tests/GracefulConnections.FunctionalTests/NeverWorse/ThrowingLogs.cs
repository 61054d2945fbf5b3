using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Logs of the library that throw at each call about one connection.</summary>
internal sealed class ThrowingLogs : ILoggerProvider, ILogger
{
    private string? _victim;
    private int _throwCount;

    /// <summary>Gets how often they threw.</summary>
    public int ThrowCount => Volatile.Read(ref _throwCount);

    /// <summary>Makes the first connection the one.</summary>
    public void Choose(string connectionId) => Interlocked.CompareExchange(ref _victim, connectionId, null);

    public ILogger CreateLogger(string categoryName) =>
        categoryName.StartsWith(nameof(GracefulConnections), StringComparison.Ordinal)
            ? this
            : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(
        LogLevel logLevel,
        EventId eventId,
        TState state,
        Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (Volatile.Read(ref _victim) is { } victim
            && formatter(state, exception).Contains(victim, StringComparison.Ordinal))
        {
            Interlocked.Increment(ref _throwCount);
            throw new InvalidTimeZoneException("The logger's own.");
        }
    }

    public void Dispose()
    {
        // Nothing is held.
    }
}
