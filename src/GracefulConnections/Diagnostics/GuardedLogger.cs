using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GracefulConnections.Diagnostics;

/// <summary>A logger that never throws: one whose disk is full must not cost a connection its end.</summary>
internal sealed class GuardedLogger : ILogger
{
    private readonly ILogger _inner;
    private volatile Exception? _thrown;

    private GuardedLogger(ILogger inner) => _inner = inner;

    /// <summary>Gets what the logger threw last; for a debugger, because nobody is left who could be told.</summary>
    public Exception? Thrown => _thrown;

    public static ILogger Around(ILogger logger) =>
        logger is GuardedLogger or NullLogger ? logger : new GuardedLogger(logger);

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null; // The library opens none.

    public bool IsEnabled(LogLevel logLevel)
    {
        try
        {
            return _inner.IsEnabled(logLevel);
        }
        catch (Exception exception)
        {
            _thrown = exception;
            return false;
        }
    }

    public void Log<TState>(
        LogLevel logLevel,
        EventId eventId,
        TState state,
        Exception? exception,
        Func<TState, Exception?, string> formatter)
    {
        try
        {
            _inner.Log(logLevel, eventId, state, exception, formatter);
        }
        catch (Exception thrown)
        {
            _thrown = thrown;
        }
    }
}
