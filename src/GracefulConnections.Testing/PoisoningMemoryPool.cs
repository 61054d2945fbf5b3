using System.Buffers;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace GracefulConnections.Testing;

/// <summary>
/// A pool of Kestrel's kind that finds who uses memory after its return. A block that comes back is filled with
/// <see cref="PoisonByte"/> and kept for a while. If a byte has changed when the block is rented again, or when the
/// pool is checked, somebody wrote to memory that was not theirs any more. Who sends it instead sends poison.
/// Blocks that never come back are fine.
/// </summary>
/// <remarks>
/// What is larger than <see cref="MaxBufferSize"/> does not come from here: pipes get that from the shared array pool.
/// A write that is under way while the block comes back may be painted over.
/// </remarks>
public sealed class PoisoningMemoryPool : MemoryPool<byte>
{
    /// <summary>What a block is filled with once it was returned.</summary>
    public const byte PoisonByte = 0xDB;

    /// <summary>What a block is filled with when it is rented. Who sends it has sent what nobody wrote.</summary>
    public const byte RentedByte = 0xCD;

    /// <summary>The bytes of each block, as of Kestrel's own, unless somebody asks for more.</summary>
    public const int BlockBytes = 4096;

    /// <summary>How many returned blocks wait, by default, before the first of them is rented again.</summary>
    public const int DefaultQuarantineCount = 256; // Of each size: 1 MiB a pool, and 4 MiB of large ones.

    private const int LargeBlockBytes = 16 * 1024; // For the output inside of TLS, a record each.
    private const int PoisonRunBytes = 16; // In what a peer receives. Ciphertext holds shorter runs by chance.
    private const int MaxRecordedCount = 16; // The first ones tell what is wrong; a loop must not fill the memory.
    private const int SampleBytes = 32;

    private readonly int _quarantineCount;
    private readonly bool _tracesReturns;
    private readonly Lock _lock = new();
    private readonly Queue<ReturnedBlock> _returned = new();
    private readonly Queue<ReturnedBlock> _returnedLarge = new();
    private readonly List<PoolViolation> _violations = [];
    private long _rentedCount;
    private long _violationCount;
    private volatile bool _isDisposed;

    /// <summary>Makes a pool.</summary>
    /// <param name="quarantineCount">
    /// How many returned blocks wait before the first of them is rented again, 0 or more.
    /// </param>
    /// <param name="tracesReturns">
    /// Whether each return keeps its stack, for the report of a violation. Costs some 10 microseconds a block.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="quarantineCount"/> is negative.</exception>
    public PoisoningMemoryPool(int quarantineCount = DefaultQuarantineCount, bool tracesReturns = false)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(quarantineCount);
        _quarantineCount = quarantineCount;
        _tracesReturns = tracesReturns;
    }

    /// <summary>Gets the bytes of a large block: 16 KiB.</summary>
    public override int MaxBufferSize => LargeBlockBytes;

    /// <summary>Gets how many blocks were ever rented.</summary>
    public long RentedCount => Interlocked.Read(ref _rentedCount);

    /// <summary>Gets how many violations were found so far, also those that are not recorded one by one.</summary>
    public long ViolationCount => Interlocked.Read(ref _violationCount);

    /// <summary>Gets how many returned blocks are waiting.</summary>
    public int ReturnedCount
    {
        get
        {
            lock (_lock)
            {
                return _returned.Count + _returnedLarge.Count;
            }
        }
    }

    /// <summary>Rents a block, filled with <see cref="RentedByte"/>.</summary>
    /// <param name="minBufferSize">
    /// How many bytes it must have, at most <see cref="MaxBufferSize"/>; -1 for any. Above <see cref="BlockBytes"/> it
    /// is a large block.
    /// </param>
    /// <returns>The block. Dispose it once.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No block is so large.</exception>
    /// <exception cref="ObjectDisposedException">The pool was disposed.</exception>
    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, LargeBlockBytes);
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        Interlocked.Increment(ref _rentedCount);
        var size = minBufferSize > BlockBytes ? LargeBlockBytes : BlockBytes;
        ReturnedBlock? reused = null;
        lock (_lock)
        {
            var returned = ReturnedOf_NeedsLock(size);
            if (returned.Count > _quarantineCount)
            {
                reused = returned.Dequeue();
            }
        }

        if (reused is { } block)
        {
            Inspect(block);
        }

        var bytes = reused?.Bytes ?? GC.AllocateUninitializedArray<byte>(size, pinned: true);
        bytes.AsSpan().Fill(RentedByte);
        return new Lease(this, bytes);
    }

    /// <summary>Looks at every block that waits.</summary>
    /// <returns>The first violations that were found until now, at most 16.</returns>
    public IReadOnlyList<PoolViolation> Check()
    {
        lock (_lock) // Nobody rents a block that is being looked at.
        {
            foreach (var block in _returned.Concat(_returnedLarge))
            {
                Inspect(block);
            }

            return [.. _violations];
        }
    }

    /// <summary>Checks the pool.</summary>
    /// <exception cref="InvalidOperationException">Memory was used against the rules, now or earlier.</exception>
    public void ThrowIfViolated()
    {
        if (Check() is { Count: > 0 } violations)
        {
            throw Violated(ViolationCount, violations);
        }
    }

    /// <summary>Throws if bytes that were received hold a run of poison.</summary>
    /// <param name="received">What a peer received.</param>
    /// <exception cref="InvalidOperationException">The sender sent memory after it had returned it.</exception>
    public static void ThrowIfPoisoned(ReadOnlySpan<byte> received)
    {
        Span<byte> run = stackalloc byte[PoisonRunBytes];
        run.Fill(PoisonByte);
        if (received.IndexOf(run) is >= 0 and var offset)
        {
            throw new InvalidOperationException(
                $"Poison at byte {offset} of {received.Length} received: "
                + "the sender returned this memory before it was sent.");
        }
    }

    internal static InvalidOperationException Violated(long count, IReadOnlyList<PoolViolation> violations)
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"Pooled memory was misused {count} times.");
        foreach (var violation in violations)
        {
            text.AppendLine().Append(violation);
        }

        return new InvalidOperationException(text.ToString());
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _isDisposed = true; // What comes back later is still looked at.

    private void Return(byte[] bytes, StackTrace? by)
    {
        bytes.AsSpan().Fill(PoisonByte);
        lock (_lock)
        {
            ReturnedOf_NeedsLock(bytes.Length).Enqueue(new ReturnedBlock(bytes, by));
        }
    }

    private Queue<ReturnedBlock> ReturnedOf_NeedsLock(int size) => size > BlockBytes ? _returnedLarge : _returned;

    private void Inspect(ReturnedBlock block)
    {
        var bytes = block.Bytes.AsSpan();
        var first = bytes.IndexOfAnyExcept(PoisonByte);
        if (first < 0)
        {
            return;
        }

        var changedCount = bytes.Length - bytes.Count(PoisonByte);
        var sample = bytes.Slice(first, Math.Min(SampleBytes, bytes.Length - first));
        Record(new PoolViolation(
            PoolViolationKind.WrittenAfterReturn,
            $"{changedCount} bytes were written after the return, from byte {first} on: {Describe(sample)}",
            block.Return));
        bytes.Fill(PoisonByte); // One write is told once.
    }

    private void Record(PoolViolation violation)
    {
        lock (_lock)
        {
            Interlocked.Increment(ref _violationCount);
            if (_violations.Count < MaxRecordedCount)
            {
                _violations.Add(violation);
            }
        }
    }

    private static string Describe(ReadOnlySpan<byte> sample)
    {
        var text = new StringBuilder(Convert.ToHexString(sample)).Append(" \"");
        foreach (var value in sample)
        {
            text.Append(value is >= 0x20 and < 0x7F ? (char)value : '.');
        }

        return text.Append('"').ToString();
    }

    private readonly record struct ReturnedBlock(byte[] Bytes, StackTrace? Return);

    // One for each rent, so that a second return is told from the return of who rented the block next.
    private sealed class Lease(PoisoningMemoryPool pool, byte[] bytes) : IMemoryOwner<byte>
    {
        private int _returnCount;
        private StackTrace? _return;

        // Also after the return: that is how Kestrel's own blocks behave, and what is written then is to be found.
        public Memory<byte> Memory => MemoryMarshal.CreateFromPinnedArray(bytes, 0, bytes.Length);

        public void Dispose()
        {
            if (Interlocked.Increment(ref _returnCount) == 1)
            {
                _return = pool._tracesReturns ? new StackTrace(1) : null;
                pool.Return(bytes, _return);
            }
            else
            {
                var again = new StackTrace(1);
                pool.Record(new PoolViolation(
                    PoolViolationKind.ReturnedTwice,
                    $"A block was returned again by:{Environment.NewLine}{again}",
                    _return));
            }
        }
    }
}
