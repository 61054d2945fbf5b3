using RespServer.Protocol;

namespace RespServer.Storage;

/// <summary>
/// Keys and values in memory. Hold <see cref="Lock"/> for as long as a command must not see another one's work.
/// An expired key is gone for everyone at once; its memory is freed when somebody asks for it, or when memory is short.
/// </summary>
internal sealed class KeyValueStore
{
    private const int EntryOverheadBytes = 128; // About what the dictionary and the headers of two arrays take: a million empty values are not free.

    private readonly TimeProvider _time;
    private readonly Dictionary<byte[], Entry> _entries = new(new ByteStringComparer());
    private readonly Dictionary<byte[], Entry>.AlternateLookup<ReadOnlySpan<byte>> _byKey;

    public KeyValueStore(TimeProvider time)
    {
        _time = time;
        _byKey = _entries.GetAlternateLookup<ReadOnlySpan<byte>>();
    }

    public Lock Lock { get; } = new();

    /// <summary>Gets the time that <see cref="Entry.ExpiresAt"/> is compared with.</summary>
    public long Now => _time.GetUtcNow().ToUnixTimeMilliseconds();

    /// <summary>Gets what <see cref="Limits.MaxStoreBytes"/> limits.</summary>
    public long UsedBytes { get; private set; }

    public bool TryGet(ReadOnlySpan<byte> key, out Entry entry)
    {
        if (!_byKey.TryGetValue(key, out entry))
        {
            return false;
        }

        if (entry.ExpiresAt > Now)
        {
            return true;
        }

        Remove(key);
        entry = default;
        return false;
    }

    public bool Contains(ReadOnlySpan<byte> key) => TryGet(key, out _);

    /// <summary>Returns what a key and its value count for.</summary>
    public static long Size(int keyBytes, int valueBytes) => (long)EntryOverheadBytes + keyBytes + valueBytes;

    /// <summary>Returns whether so much more fits. A value that is about to be replaced counts, too: a full store takes no writes, as in Redis.</summary>
    public bool HasRoomFor(long bytes)
    {
        if (UsedBytes + bytes > Limits.MaxStoreBytes)
        {
            RemoveExpired();
        }

        return UsedBytes + bytes <= Limits.MaxStoreBytes;
    }

    public void Set(ReadOnlySpan<byte> key, Entry entry)
    {
        Remove(key);
        _byKey[key] = entry;
        UsedBytes += Size(key.Length, entry.Value.Length);
    }

    public bool Remove(ReadOnlySpan<byte> key)
    {
        if (!_byKey.Remove(key, out _, out var removed))
        {
            return false;
        }

        UsedBytes -= Size(key.Length, removed.Value.Length);
        return true;
    }

    public void Clear()
    {
        _entries.Clear();
        UsedBytes = 0;
    }

    /// <summary>Returns all keys that have not expired. It looks at each.</summary>
    public List<byte[]> GetKeys()
    {
        RemoveExpired();
        return [.. _entries.Keys];
    }

    /// <summary>Counts the keys that have not expired. It looks at each.</summary>
    public int Count()
    {
        RemoveExpired();
        return _entries.Count;
    }

    private void RemoveExpired()
    {
        var now = Now;
        foreach (var (key, entry) in _entries)
        {
            if (entry.ExpiresAt <= now)
            {
                Remove(key); // A dictionary allows this in the middle of its enumeration.
            }
        }
    }
}
