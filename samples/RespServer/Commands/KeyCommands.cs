using RespServer.Protocol;
using RespServer.Storage;

namespace RespServer.Commands;

/// <summary>The commands on keys and values.</summary>
internal sealed class KeyCommands(KeyValueStore store)
{
    private const long Millisecond = 1;
    private const long Second = 1000;

    public IEnumerable<Command> All =>
    [
        new("append", 3, Atomic(Append)),
        new("dbsize", 1, Atomic((_, session) => session.Reply.WriteInteger(store.Count()))),
        new("decr", 2, Atomic((request, session) => Add(request, session, -1))),
        new("del", -2, Atomic((request, session) => session.Reply.WriteInteger(CountKeys(request, key => store.Contains(key) && store.Remove(key))))),
        new("exists", -2, Atomic((request, session) => session.Reply.WriteInteger(CountKeys(request, store.Contains)))),
        new("expire", 3, Atomic(Expire)),
        new("flushall", -1, Atomic(FlushAll)),
        new("get", 2, Atomic(Get)),
        new("incr", 2, Atomic((request, session) => Add(request, session, 1))),
        new("keys", 2, KeysAsync),
        new("mget", -2, GetManyAsync),
        new("mset", -3, Atomic(SetMany)),
        new("set", -3, Atomic(Set)),
        new("ttl", 2, Atomic(TimeToLive)),
    ];

    // Commands run one at a time, as in Redis: that is what makes INCR a counter and MSET all or nothing. None of these waits for anything.
    private Action<Request, Session> Atomic(Action<Request, Session> execute) => (request, session) =>
    {
        lock (store.Lock)
        {
            execute(request, session);
        }
    };

    private void Get(Request request, Session session) => session.Reply.WriteBulkOrNull(store.TryGet(request[1], out var entry) ? entry.Value : null);

    private void Set(Request request, Session session)
    {
        var expiresAt = Entry.Never;
        bool? mustExist = null;
        for (var i = 3; i < request.Count; i++)
        {
            if (mustExist is null && (request.Is(i, "NX"u8) || request.Is(i, "XX"u8)))
            {
                mustExist = request.Is(i, "XX"u8);
            }
            else if (expiresAt == Entry.Never && i + 1 < request.Count && (request.Is(i, "EX"u8) || request.Is(i, "PX"u8)))
            {
                var unit = request.Is(i, "EX"u8) ? Second : Millisecond;
                if (!TryGetExpiry(request, ++i, unit, least: 1, "set", session, out expiresAt))
                {
                    return;
                }
            }
            else
            {
                session.Reply.WriteError(Errors.Syntax);
                return;
            }
        }

        if (mustExist is not null && mustExist != store.Contains(request[1]))
        {
            session.Reply.WriteBulkOrNull(null);
        }
        else if (TryStore(request[1], request.Copy(2), expiresAt, session))
        {
            session.Reply.WriteOk();
        }
    }

    private void SetMany(Request request, Session session)
    {
        if (request.Count % 2 == 0)
        {
            session.Reply.WriteError(Errors.WrongNumberOfArguments("mset"));
            return;
        }

        var bytes = 0L;
        for (var i = 1; i < request.Count; i += 2)
        {
            bytes += KeyValueStore.Size(request[i].Length, request[i + 1].Length);
        }

        if (!store.HasRoomFor(bytes))
        {
            session.Reply.WriteError(Errors.StoreFull);
            return;
        }

        for (var i = 1; i < request.Count; i += 2)
        {
            store.Set(request[i], new Entry(request.Copy(i + 1), Entry.Never));
        }

        session.Reply.WriteOk();
    }

    private void Append(Request request, Session session)
    {
        var exists = store.TryGet(request[1], out var entry);
        byte[] value = [.. entry.Value ?? [], .. request[2]];
        if (value.Length > Limits.MaxBulkBytes)
        {
            session.Reply.WriteError($"ERR string exceeds maximum allowed size (proto-max-bulk-len), which is {Limits.MaxBulkBytes} bytes");
        }
        else if (TryStore(request[1], value, exists ? entry.ExpiresAt : Entry.Never, session))
        {
            session.Reply.WriteInteger(value.Length);
        }
    }

    private void Add(Request request, Session session, int difference)
    {
        var number = 0L;
        var exists = store.TryGet(request[1], out var entry);
        if (exists && !StrictInteger.TryParse(entry.Value, out number))
        {
            session.Reply.WriteError(Errors.NotAnInteger);
        }
        else if ((Int128)number + difference is var sum && (sum < long.MinValue || sum > long.MaxValue))
        {
            session.Reply.WriteError(Errors.Overflow);
        }
        else if (TryStore(request[1], StrictInteger.Print((long)sum), exists ? entry.ExpiresAt : Entry.Never, session))
        {
            session.Reply.WriteInteger((long)sum);
        }
    }

    private void Expire(Request request, Session session)
    {
        if (!TryGetExpiry(request, 2, Second, least: long.MinValue, "expire", session, out var expiresAt))
        {
            return;
        }

        var exists = store.TryGet(request[1], out var entry);
        if (exists)
        {
            // A time in the past is as good as a DEL.
            store.Set(request[1], entry with { ExpiresAt = expiresAt });
        }

        session.Reply.WriteInteger(exists ? 1 : 0);
    }

    private void TimeToLive(Request request, Session session)
    {
        const int NoSuchKey = -2;
        const int NeverExpires = -1;
        var exists = store.TryGet(request[1], out var entry);
        session.Reply.WriteInteger(
            !exists ? NoSuchKey
            : entry.ExpiresAt == Entry.Never ? NeverExpires
            : (entry.ExpiresAt - store.Now + (Second / 2)) / Second);
    }

    private void FlushAll(Request request, Session session)
    {
        if (request.Count > 2 || (request.Count == 2 && !request.Is(1, "SYNC"u8) && !request.Is(1, "ASYNC"u8)))
        {
            session.Reply.WriteError(Errors.Syntax);
            return;
        }

        store.Clear();
        session.Reply.WriteOk();
    }

    // The keys of one moment; matched and sent without holding up anybody else.
    private async ValueTask KeysAsync(Request request, Session session)
    {
        var pattern = request.Copy(1);
        List<byte[]> keys;
        lock (store.Lock)
        {
            keys = store.GetKeys();
        }

        keys.RemoveAll(key => !GlobPattern.IsMatch(pattern, key));
        await session.Reply.WriteManyAsync(keys);
    }

    // The values of one moment. They may be a thousand megabytes: they are not copied, and sent as the client reads them.
    private async ValueTask GetManyAsync(Request request, Session session)
    {
        var values = new byte[]?[request.Count - 1];
        lock (store.Lock)
        {
            for (var i = 0; i < values.Length; i++)
            {
                values[i] = store.TryGet(request[i + 1], out var entry) ? entry.Value : null;
            }
        }

        await session.Reply.WriteManyAsync(values);
    }

    private bool TryStore(ReadOnlySpan<byte> key, byte[] value, long expiresAt, Session session)
    {
        if (!store.HasRoomFor(KeyValueStore.Size(key.Length, value.Length)))
        {
            session.Reply.WriteError(Errors.StoreFull);
            return false;
        }

        store.Set(key, new Entry(value, expiresAt));
        return true;
    }

    private bool TryGetExpiry(Request request, int index, long unit, long least, string command, Session session, out long expiresAt)
    {
        expiresAt = Entry.Never;
        if (!request.TryGetInteger(index, out var amount))
        {
            session.Reply.WriteError(Errors.NotAnInteger);
            return false;
        }

        var at = store.Now + ((Int128)amount * unit);
        if (amount < least || at < long.MinValue || at >= Entry.Never)
        {
            session.Reply.WriteError(Errors.InvalidExpireTime(command));
            return false;
        }

        expiresAt = (long)at;
        return true;
    }

    private static int CountKeys(Request request, Func<ReadOnlySpan<byte>, bool> isCounted)
    {
        var count = 0;
        for (var i = 1; i < request.Count; i++)
        {
            count += isCounted(request[i]) ? 1 : 0;
        }

        return count;
    }
}
