using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>Keeps the exceptions that one connection logged, for the message of a failure.</summary>
internal sealed class FaultLogger : ILogger
{
    private readonly ConcurrentQueue<Exception> _faults = new();

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
        if (exception is not null)
        {
            _faults.Enqueue(exception);
        }
    }

    public override string ToString() => string.Join("; ", _faults);
}
