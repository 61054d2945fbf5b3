using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Tests.Support;

/// <summary>Remembers what was logged.</summary>
internal sealed class RecordingLogger : ILogger, ILoggerFactory
{
    private readonly ConcurrentQueue<Entry> _entries = new();
    private readonly ConcurrentDictionary<string, TaskCompletionSource> _logged = new();

    public IEnumerable<Entry> Entries => _entries;

    /// <summary>Gets the names of what was logged, in order.</summary>
    public IEnumerable<string?> Events => _entries.Select(entry => entry.Id.Name);

    /// <summary>Gets the category that somebody created a logger for.</summary>
    public string? Category { get; private set; }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        _entries.Enqueue(new Entry(eventId, logLevel, formatter(state, exception), (state as IEnumerable<KeyValuePair<string, object?>> ?? []).ToDictionary(), exception));
        LoggedSource(eventId.Name!).TrySetResult();
    }

    /// <summary>Waits until something with that name was logged.</summary>
    public Task LoggedAsync(string name) => LoggedSource(name).Task;

    public ILogger CreateLogger(string categoryName)
    {
        Category = categoryName;
        return this;
    }

    public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

    public void Dispose()
    {
    }

    private TaskCompletionSource LoggedSource(string name) => _logged.GetOrAdd(name, static _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    public sealed record Entry(EventId Id, LogLevel Level, string Message, Dictionary<string, object?> Values, Exception? Exception);
}
