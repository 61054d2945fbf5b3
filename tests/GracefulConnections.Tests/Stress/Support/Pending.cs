namespace GracefulConnections.Tests.Stress.Support;

/// <summary>An operation that was begun and is looked at later, once, without a task of its own: as a handler does that awaits it when it gets there.</summary>
internal sealed class Pending<T>(ValueTask<T> operation)
{
    private readonly ValueTask<T> _operation = operation;

    public bool IsCompleted => _operation.IsCompleted;

    public T GetResult() => _operation.GetAwaiter().GetResult();
}
