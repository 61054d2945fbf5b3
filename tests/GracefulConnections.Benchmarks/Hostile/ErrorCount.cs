using Microsoft.Extensions.Logging;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Counts what the library logs as an error of its own. Kestrel's errors are those of the handlers.</summary>
internal sealed class ErrorCount : ILoggerProvider, ILogger
{
    private int _count;
    private string? _first;

    public int Count => Volatile.Read(ref _count);

    /// <summary>Gets the first of them.</summary>
    public string? First => Volatile.Read(ref _first);

    public ILogger CreateLogger(string categoryName) =>
        categoryName.StartsWith(nameof(GracefulConnections), StringComparison.Ordinal)
            ? this
            : Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Error;

    public void Log<TState>(
        LogLevel logLevel,
        EventId eventId,
        TState state,
        Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            Interlocked.Increment(ref _count);
            Interlocked.CompareExchange(ref _first, $"{formatter(state, exception)} {exception}", null);
        }
    }

    public void Dispose()
    {
        // Nothing is held.
    }
}
