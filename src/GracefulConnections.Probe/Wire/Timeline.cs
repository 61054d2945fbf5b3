namespace GracefulConnections.Probe.Wire;

/// <summary>Collects who sent what when in one scenario. Several connections write to it at once.</summary>
internal sealed class Timeline(TimeProvider time)
{
    // A picture with more arrows or more connections is not read by anybody.
    private const int MostEvents = 120;
    private const int MostConnections = 8;
    private const double SameBurstMs = 150;

    private readonly Lock _lock = new();
    private readonly long _began = time.GetTimestamp();
    private readonly List<WireEvent> _events = [];
    private int _connections;
    private long _leftOut;

    public double ElapsedMs => time.GetElapsedTime(_began).TotalMilliseconds;

    /// <summary>Returns the number of a new connection.</summary>
    public int AddConnection() => Interlocked.Increment(ref _connections);

    public void Note(string text) => Add(0, false, WireKind.Note, 0, text);

    public void Add(int connection, bool fromServer, WireKind kind, long bytes = 0, string? note = null)
    {
        var now = ElapsedMs;
        lock (_lock)
        {
            if (kind == WireKind.Data && TryExtend(connection, fromServer, bytes, now))
            {
                return;
            }

            if (connection > MostConnections || (_events.Count >= MostEvents && kind == WireKind.Data))
            {
                _leftOut++;
                return;
            }

            _events.Add(new WireEvent(now, now, connection, fromServer, kind, bytes, note));
        }
    }

    /// <summary>Removes the server's FIN, because what looked like one was an RST.</summary>
    public void TakeBackFin(int connection)
    {
        lock (_lock)
        {
            _events.RemoveAll(one => one is { FromServer: true, Kind: WireKind.Fin } && one.Connection == connection);
        }
    }

    public IReadOnlyList<WireEvent> ToEvents()
    {
        lock (_lock)
        {
            var events = _events.ToList();
            if (_leftOut > 0)
            {
                var last = events.Count == 0 ? 0 : events[^1].UntilMs;
                events.Add(new WireEvent(last, last, 0, false, WireKind.Note, 0,
                    $"{_leftOut:N0} more events are left out."));
            }

            return events;
        }
    }

    // Data in both directions at once is two long arrows, and not one pair for each packet.
    private bool TryExtend(int connection, bool fromServer, long bytes, double now)
    {
        for (var i = _events.Count - 1; i >= 0; i--)
        {
            var last = _events[i];
            if (last.Connection != connection && last.Connection != 0)
            {
                continue;
            }

            if (last.Kind != WireKind.Data)
            {
                return false;
            }

            if (last.FromServer == fromServer)
            {
                if (now - last.UntilMs > SameBurstMs)
                {
                    return false;
                }

                _events[i] = last with { UntilMs = now, Bytes = last.Bytes + bytes };
                return true;
            }
        }

        return false;
    }
}
