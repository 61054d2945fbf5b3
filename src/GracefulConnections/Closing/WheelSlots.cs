using System.Numerics;

namespace GracefulConnections.Closing;

/// <summary>
/// The places of a <see cref="TimerWheel"/>, and the tick that its clock has reached. Guarded by the wheel's lock.
/// </summary>
internal sealed class WheelSlots
{
    private const int SlotBits = 6;
    private const int SlotCount = 1 << SlotBits;
    private const int LevelCount = 9; // 2^54 ms: beyond the greatest TimeSpan.
    private const int MovesInARow = 256; // A slot may hold a million targets, and others wait for the lock meanwhile.

    private readonly WheelTarget?[] _slots = new WheelTarget?[LevelCount * SlotCount];
    private readonly ulong[] _occupied = new ulong[LevelCount]; // One bit for each slot that is not empty.
    private long _current; // The tick up to which everything was looked at.

    /// <summary>Gets the tick at which something is to be done; the greatest number for none.</summary>
    public long NextTick => FindNext(out _, out _);

    /// <summary>Puts the target into the slot of its deadline.</summary>
    public void Enqueue(WheelTarget target)
    {
        ref var entry = ref target.Entry;
        if (entry.Due == TimeSpan.MaxValue)
        {
            entry.Watch = WheelTarget.Watch.Parked;
            return;
        }

        // One that is late already is due with the next tick, or a target that always is would never let go of its
        // thread.
        var tick = Math.Max(TickOf(entry.Due), entry.Watch == WheelTarget.Watch.Queued ? _current : _current + 1);
        var level = BitOperations.Log2((ulong)((tick ^ _current) | (SlotCount - 1))) / SlotBits;
        var slot = (int)(tick >> (level * SlotBits)) & (SlotCount - 1);
        ref var head = ref _slots[(level * SlotCount) + slot];
        entry.Watch = WheelTarget.Watch.Queued;
        (entry.Level, entry.Slot) = ((byte)level, (byte)slot);
        (entry.Previous, entry.Next) = (null, head);
        if (head is not null)
        {
            head.Entry.Previous = target;
        }

        head = target;
        _occupied[level] |= 1UL << slot;
    }

    /// <summary>Takes the target out of its slot, if it is in one.</summary>
    public void Dequeue(WheelTarget target)
    {
        ref var entry = ref target.Entry;
        if (entry.Watch != WheelTarget.Watch.Queued)
        {
            return;
        }

        if (entry.Next is not null)
        {
            entry.Next.Entry.Previous = entry.Previous;
        }

        if (entry.Previous is not null)
        {
            entry.Previous.Entry.Next = entry.Next;
        }
        else
        {
            _slots[(entry.Level * SlotCount) + entry.Slot] = entry.Next;
            if (entry.Next is null)
            {
                _occupied[entry.Level] &= ~(1UL << entry.Slot);
            }
        }

        (entry.Previous, entry.Next) = (null, null);
    }

    /// <summary>Takes the next target that is due, or moves some of a slot to lower levels.</summary>
    /// <param name="end">The tick up to which targets are due.</param>
    /// <param name="target">The target, in no slot any more; <see langword="null"/> for none.</param>
    /// <returns>Whether there may be more.</returns>
    public bool TryTake(long end, out WheelTarget? target)
    {
        target = null;
        var next = FindNext(out var level, out var slot);
        if (next > end)
        {
            _current = Math.Max(_current, end);
            return false;
        }

        _current = Math.Max(_current, next);
        var first = _slots[(level * SlotCount) + slot]!;
        if (level == 0)
        {
            Dequeue(first);
            target = first;
            return true;
        }

        for (var moves = 0; moves < MovesInARow && first is not null; moves++)
        {
            var following = first.Entry.Next;
            Dequeue(first);
            Enqueue(first);
            first = following;
        }

        return true;
    }

    /// <summary>
    /// The clock is at <paramref name="now"/>. After a long sleep a near deadline would else count from long ago, in a
    /// slot that is reached at once.
    /// </summary>
    public void CatchUp(TimeSpan now)
    {
        var tick = now.Ticks / TimerWheel.Tick.Ticks;
        if (tick > _current && FindNext(out _, out _) > tick)
        {
            _current = tick;
        }
    }

    private static long TickOf(TimeSpan due) =>
        (due.Ticks / TimerWheel.Tick.Ticks) + (due.Ticks % TimerWheel.Tick.Ticks == 0 ? 0 : 1);

    // The slots behind the clock's own are empty on every level, because their targets were taken or have moved down.
    private long FindNext(out int level, out int slot)
    {
        var next = long.MaxValue;
        (level, slot) = (0, 0);
        for (var i = 0; i < LevelCount; i++)
        {
            if (_occupied[i] == 0)
            {
                continue;
            }

            var first = BitOperations.TrailingZeroCount(_occupied[i]);
            var above = (i + 1) * SlotBits;
            var start = (_current >> above << above) + ((long)first << (i * SlotBits));
            if (start <= next) // Of two that start together the higher one goes first: it may hold what is due before.
            {
                (next, level, slot) = (start, i, first);
            }
        }

        return next;
    }
}
