namespace RespServer;

/// <summary>How many clients are connected.</summary>
internal sealed class ClientCounter
{
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public void Add() => Interlocked.Increment(ref _count);

    public void Remove() => Interlocked.Decrement(ref _count);
}
