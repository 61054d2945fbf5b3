using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Support;

/// <summary>A logger whose disk is full.</summary>
internal sealed class ThrowingLogger(Thrower thrower) : ILogger
{
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel)
    {
        thrower.Call();
        return true;
    }

    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        thrower.Call();
}
