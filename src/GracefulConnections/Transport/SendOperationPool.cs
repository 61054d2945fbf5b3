using System.Collections.Concurrent;

namespace GracefulConnections.Transport;

/// <summary>The send operations that no connection of the process is using right now.</summary>
internal static class SendOperationPool
{
    private const int MaxCount = 1024; // As many as Kestrel's own pool keeps.

    private static readonly ConcurrentQueue<SendOperation> Operations = new();
    private static int _count;

    public static SendOperation Rent()
    {
        if (Operations.TryDequeue(out var operation))
        {
            Interlocked.Decrement(ref _count);
            return operation;
        }

        return new SendOperation();
    }

    public static void Return(SendOperation operation)
    {
        operation.Reset();
        if (Interlocked.Increment(ref _count) > MaxCount)
        {
            Interlocked.Decrement(ref _count);
            operation.Dispose();
            return;
        }

        Operations.Enqueue(operation);
    }
}
