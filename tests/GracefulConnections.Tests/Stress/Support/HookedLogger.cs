using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>Counts what is logged, and lets something happen while it is.</summary>
internal sealed class HookedLogger(Action? hook = null) : ILogger, ILoggerFactory
{
    private readonly ConcurrentDictionary<string, int> _counts = new();

    public int Count(string name) => _counts.GetValueOrDefault(name);

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _counts.AddOrUpdate(eventId.Name!, 1, static (_, count) => count + 1);
        hook?.Invoke();
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public ILogger CreateLogger(string categoryName) => this;

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }
}
