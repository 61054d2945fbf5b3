using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Testing;

/// <summary>
/// Gives a server poisoning pools. Register it as the <see cref="IMemoryPoolFactory{T}"/> of bytes, and check it once
/// the server was disposed.
/// </summary>
public sealed class PoisoningMemoryPoolFactory : IMemoryPoolFactory<byte>
{
    /// <summary>The environment variable that, set to 1, makes each return keep its stack by default.</summary>
    public const string TraceVariable = "GRACEFUL_TRACE_POOL";

    private readonly ConcurrentQueue<PoisoningMemoryPool> _pools = [];
    private readonly bool _tracesReturns;

    /// <summary>Makes a factory.</summary>
    /// <param name="tracesReturns">
    /// Whether each return keeps its stack; <see langword="null"/> to ask <see cref="TraceVariable"/>.
    /// </param>
    public PoisoningMemoryPoolFactory(bool? tracesReturns = null) =>
        _tracesReturns = tracesReturns ?? Environment.GetEnvironmentVariable(TraceVariable) == "1";

    /// <summary>Gets how many blocks were ever rented from the pools.</summary>
    public long RentedCount => _pools.Sum(static pool => pool.RentedCount);

    /// <summary>Makes a pool with the default quarantine.</summary>
    /// <param name="options">Not used.</param>
    /// <returns>The pool. The factory goes on to check it after its disposal.</returns>
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null)
    {
        var pool = new PoisoningMemoryPool(tracesReturns: _tracesReturns);
        _pools.Enqueue(pool);
        return pool;
    }

    /// <summary>Checks all pools.</summary>
    /// <exception cref="InvalidOperationException">Memory was used against the rules, now or earlier.</exception>
    public void ThrowIfViolated()
    {
        PoolViolation[] violations = [.. _pools.SelectMany(static pool => pool.Check())];
        if (violations.Length > 0)
        {
            throw PoisoningMemoryPool.Violated(_pools.Sum(static pool => pool.ViolationCount), violations);
        }
    }
}
