using System.Diagnostics.Tracing;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>Counts the arrays of the process' shared pools that are out, as the pools themselves tell.</summary>
internal sealed class RentedBlocks : EventListener
{
    private const string PoolEvents = "System.Buffers.ArrayPoolEventSource";
    private const int Rented = 1;
    private const int Returned = 3;

    private long _count;

    public long Count => Volatile.Read(ref _count);

    protected override void OnEventSourceCreated(EventSource eventSource)
    {
        if (eventSource.Name == PoolEvents)
        {
            EnableEvents(eventSource, EventLevel.Verbose);
        }
    }

    protected override void OnEventWritten(EventWrittenEventArgs eventData)
    {
        switch (eventData.EventId)
        {
            case Rented:
                Interlocked.Increment(ref _count);
                break;
            case Returned:
                Interlocked.Decrement(ref _count);
                break;
        }
    }
}
