using System.Buffers;
using System.Runtime.InteropServices;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Testing;

/// <summary>The pool that finds who uses memory after its return.</summary>
public sealed class PoisoningMemoryPoolTests
{
    [Fact]
    public void Rent_Block_IsAnArrayOfOneBlock()
    {
        using var sut = new PoisoningMemoryPool();

        using var owner = sut.Rent();

        Assert.True(MemoryMarshal.TryGetArray<byte>(owner.Memory, out var array));
        Assert.Equal(PoisoningMemoryPool.BlockBytes, array.Count);
        Assert.Equal(-1, owner.Memory.Span.IndexOfAnyExcept(PoisoningMemoryPool.RentedByte));
        Assert.Equal(1, sut.RentedCount);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(PoisoningMemoryPool.BlockBytes)]
    [InlineData(PoisoningMemoryPool.BlockBytes + 1)]
    public void Rent_BlocksOfBothSizesCameBack_IsOneOfTheSize(int minBufferSize)
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 0);
        var expected = minBufferSize > PoisoningMemoryPool.BlockBytes ? sut.MaxBufferSize : PoisoningMemoryPool.BlockBytes;
        Memory<byte>[] returned = [RentAndReturn(sut), RentAndReturn(sut, sut.MaxBufferSize)];

        using var owner = sut.Rent(minBufferSize);

        Assert.Equal(expected, owner.Memory.Length);
        Assert.Contains(owner.Memory, returned);
        Assert.Equal((3L, 1), (sut.RentedCount, sut.ReturnedCount));
    }

    [Fact]
    public void Check_LargeBlockWrittenAfterReturn_FindsIt()
    {
        using var sut = new PoisoningMemoryPool();
        RentAndReturn(sut, sut.MaxBufferSize).Span[^1] = 1;

        Assert.Equal(PoolViolationKind.WrittenAfterReturn, Assert.Single(sut.Check()).Kind);
    }

    [Fact]
    public void Rent_MoreThanALargeBlock_IsRefused()
    {
        using var sut = new PoisoningMemoryPool();

        Assert.Throws<ArgumentOutOfRangeException>(() => sut.Rent(sut.MaxBufferSize + 1));
    }

    [Fact]
    public void Return_Block_IsPoisoned()
    {
        using var sut = new PoisoningMemoryPool();

        var kept = RentAndReturn(sut);

        Assert.Equal(-1, kept.Span.IndexOfAnyExcept(PoisoningMemoryPool.PoisonByte));
    }

    [Fact]
    public void Check_NothingWrittenAfterReturn_FindsNothing()
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 1);
        _ = sut.Rent(); // Never returned, which is fine.
        for (var i = 0; i < 10; i++)
        {
            RentAndReturn(sut).ToArray();
        }

        sut.ThrowIfViolated();
        Assert.Empty(sut.Check());
        Assert.Equal(0, sut.ViolationCount);
    }

    [Fact]
    public void Check_WrittenAfterReturn_TellsWhatAndHowMuch()
    {
        using var sut = new PoisoningMemoryPool();
        var kept = RentAndReturn(sut);

        "late"u8.CopyTo(kept.Span[100..]);

        var violation = Assert.Single(sut.Check());
        Assert.Equal(PoolViolationKind.WrittenAfterReturn, violation.Kind);
        Assert.StartsWith("4 bytes were written after the return, from byte 100 on", violation.Detail);
        Assert.Contains("\"late", violation.Detail, StringComparison.Ordinal);
        Assert.Null(violation.Return);
        Assert.Single(sut.Check()); // The same write is not told again.
        var exception = Assert.Throws<InvalidOperationException>(sut.ThrowIfViolated);
        Assert.Contains("4 bytes", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rent_WrittenWhileInQuarantine_IsFoundWhenRentedAgain()
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 0);
        var kept = RentAndReturn(sut);
        kept.Span[^1] = 1;

        using var next = sut.Rent();

        Assert.Equal(1, sut.ViolationCount);
        Assert.Equal(PoisoningMemoryPool.RentedByte, kept.Span[0]); // It was the same block.
    }

    [Fact]
    public void Rent_Quarantine_HandsOutTheOldestOnceItIsFull()
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 2);
        using var first = sut.Rent();
        using var second = sut.Rent();
        using var third = sut.Rent();

        first.Dispose();
        second.Dispose();
        using var fresh = sut.Rent();
        Assert.Equal(PoisoningMemoryPool.PoisonByte, first.Memory.Span[0]);

        third.Dispose();
        using var reused = sut.Rent();
        Assert.Equal(first.Memory, reused.Memory);
        Assert.Equal(2, sut.ReturnedCount);
        sut.ThrowIfViolated();
    }

    [Fact]
    public void Return_Twice_IsFoundAlsoWhenTheBlockIsRentedAgain()
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 0);
        var first = sut.Rent();
        first.Dispose();
        using var next = sut.Rent();
        next.Memory.Span.Clear();

        first.Dispose();

        var violation = Assert.Single(sut.Check());
        Assert.Equal(PoolViolationKind.ReturnedTwice, violation.Kind);
        Assert.Contains(
            nameof(Return_Twice_IsFoundAlsoWhenTheBlockIsRentedAgain), violation.Detail, StringComparison.Ordinal);
        Assert.Equal(0, next.Memory.Span[0]); // Whoever has it now keeps it.
        Assert.Equal(0, sut.ReturnedCount);
    }

    [Fact]
    public void Check_ReturnsTraced_TellsWhoReturned()
    {
        using var sut = new PoisoningMemoryPool(tracesReturns: true);
        RentAndReturn(sut).Span[0] = 0;

        Assert.Contains(nameof(RentAndReturn), Assert.Single(sut.Check()).ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Dispose_BlockReturnedAndWrittenLater_IsFoundStill()
    {
        var sut = new PoisoningMemoryPool();
        var owner = sut.Rent();

        sut.Dispose();
        owner.Dispose();
        owner.Memory.Span[0] = 0;

        Assert.Throws<ObjectDisposedException>(() => sut.Rent());
        Assert.Throws<InvalidOperationException>(sut.ThrowIfViolated);
    }

    [Fact]
    public void Check_ManyWrites_AreCountedBeyondThoseRecorded()
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 100);
        IMemoryOwner<byte>[] owners = [.. Enumerable.Range(0, 100).Select(_ => sut.Rent())];
        foreach (var owner in owners)
        {
            owner.Dispose();
            owner.Memory.Span[0] = 0;
        }

        Assert.InRange(sut.Check().Count, 1, 99);
        Assert.Equal(100, sut.ViolationCount);
    }

    [Fact]
    public async Task Rent_ManyAtOnce_NobodyGetsABlockOfAnother()
    {
        using var sut = new PoisoningMemoryPool(quarantineCount: 4);

        await Task.WhenAll(Enumerable.Range(1, 4).Select(value => Task.Run(() => Use((byte)value)))).WithinLimit();

        sut.ThrowIfViolated();
        Assert.Equal(4 * 2_000, sut.RentedCount);

        void Use(byte value)
        {
            for (var i = 0; i < 2_000; i++)
            {
                using var owner = sut.Rent();
                owner.Memory.Span.Fill(value);
                Assert.Equal(-1, owner.Memory.Span.IndexOfAnyExcept(value));
            }
        }
    }

    [Fact]
    public void ThrowIfPoisoned_RunOfPoison_Throws()
    {
        var received = new byte[100];
        PoisoningMemoryPool.ThrowIfPoisoned(received);
        received.AsSpan(50, 15).Fill(PoisoningMemoryPool.PoisonByte);
        PoisoningMemoryPool.ThrowIfPoisoned(received); // Short enough for chance.

        received.AsSpan(50, 16).Fill(PoisoningMemoryPool.PoisonByte);

        Assert.Throws<InvalidOperationException>(() => PoisoningMemoryPool.ThrowIfPoisoned(received));
    }

    [Fact]
    public void Factory_OneOfItsPoolsMisused_Throws()
    {
        var sut = new PoisoningMemoryPoolFactory();
        using var innocent = sut.Create();
        using var guilty = sut.Create();
        RentAndReturn(innocent);
        sut.ThrowIfViolated();
        RentAndReturn(guilty).Span[0] = 0;

        Assert.Throws<InvalidOperationException>(sut.ThrowIfViolated);
        Assert.Equal(2, sut.RentedCount);
    }

    [Fact]
    public async Task InMemoryConnection_ItsOutputUsedAfterReturn_IsFound()
    {
        using var pool = new PoisoningMemoryPool();
        var connection = new InMemoryConnection(new InMemoryConnectionOptions { MemoryPool = pool });
        var output = connection.Transport.Output;
        var kept = output.GetMemory(1);
        kept.Span[0] = (byte)'a';
        output.Advance(1);
        output.Complete();
        Assert.Equal("a", await connection.ReceiveToEndAsync());
        Assert.Empty(pool.Check());

        kept.Span[0] = (byte)'b';

        Assert.Single(pool.Check());
    }

    private static Memory<byte> RentAndReturn(MemoryPool<byte> pool, int minBufferSize = -1)
    {
        using var owner = pool.Rent(minBufferSize);
        return owner.Memory;
    }
}
