namespace GracefulConnections.Testing;

/// <summary>
/// A drain that the test plays, for code that has an <see cref="IDrainCoordinator"/>: a worker that stops producing, an
/// administrator's command, a health endpoint.
/// </summary>
/// <remarks>
/// Nothing happens by itself. Callbacks of both tokens run on the thread that calls <see cref="Announce"/> or
/// <see cref="Start"/>, before the call returns; those of a real drain run on the thread pool. Safe to use from any
/// thread.
/// </remarks>
public sealed class FakeDrainCoordinator : IDrainCoordinator, IDisposable
{
    private readonly Lock _lock = new();
    private readonly CancellationTokenSource _announced = new();
    private readonly CancellationTokenSource _started = new();
    private readonly TaskCompletionSource<DrainReport> _drained =
        new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly List<TrackedConnectionInfo> _connections = [];
    private readonly List<string> _aborted = [];
    private DrainPhase _phase;

    /// <inheritdoc/>
    public DrainPhase Phase
    {
        get
        {
            lock (_lock)
            {
                return _phase;
            }
        }
    }

    /// <inheritdoc/>
    public CancellationToken DrainAnnounced => _announced.Token;

    /// <inheritdoc/>
    public CancellationToken DrainStarted => _started.Token;

    /// <inheritdoc/>
    public int ConnectionCount => GetConnections().Count;

    /// <summary>Gets the ids of the connections that <see cref="Abort"/> ended, in order.</summary>
    public IReadOnlyList<string> AbortedIds
    {
        get
        {
            lock (_lock)
            {
                return [.. _aborted];
            }
        }
    }

    /// <summary>Adds a connection to those that there are.</summary>
    /// <param name="connection">As a snapshot shows it. Its id should be unique.</param>
    public void Add(TrackedConnectionInfo connection)
    {
        lock (_lock)
        {
            _connections.Add(connection);
        }
    }

    /// <summary>Announces the drain: the server still serves. Does nothing after it was announced.</summary>
    public void Announce()
    {
        Enter(DrainPhase.Announced);
        _announced.Cancel();
    }

    /// <summary>
    /// Ends the announcement, which it makes if nobody has: connections are asked to close from here on.
    /// </summary>
    public void Start()
    {
        Announce();
        Enter(DrainPhase.Draining);
        _started.Cancel();
    }

    /// <summary>
    /// Ends the drain of the whole server, which it starts if nobody has. Every connection is gone, and everybody who
    /// waits for <see cref="DrainAsync(CancellationToken)"/> gets the report.
    /// </summary>
    /// <param name="report">
    /// How it went. <see langword="null"/>: every connection ended as <see cref="CloseOutcome.Graceful"/>.
    /// </param>
    public void Complete(DrainReport? report = null)
    {
        Start();
        DrainReport graceful;
        lock (_lock)
        {
            graceful = TakeGracefully_NeedsLock(static _ => true);
        }

        Enter(DrainPhase.Drained);
        _drained.TrySetResult(report ?? graceful);
    }

    /// <inheritdoc/>
    public IReadOnlyList<TrackedConnectionInfo> GetConnections()
    {
        lock (_lock)
        {
            return [.. _connections];
        }
    }

    /// <inheritdoc/>
    public bool Abort(string connectionId)
    {
        ArgumentNullException.ThrowIfNull(connectionId);
        lock (_lock)
        {
            if (_connections.RemoveAll(connection => connection.ConnectionId == connectionId) == 0)
            {
                return false;
            }

            _aborted.Add(connectionId);
            return true;
        }
    }

    /// <summary>Starts the drain of the whole server. <see cref="Complete"/> ends it.</summary>
    /// <param name="cancellationToken">Ends the wait of this caller.</param>
    /// <returns>The report that <see cref="Complete"/> gives.</returns>
    public Task<DrainReport> DrainAsync(CancellationToken cancellationToken = default)
    {
        Start();
        return _drained.Task.WaitAsync(cancellationToken);
    }

    /// <summary>Removes the connections that the filter chooses, at once, as if each had ended gracefully.</summary>
    /// <param name="filter">Chooses from the snapshot.</param>
    /// <param name="options">Not used.</param>
    /// <param name="cancellationToken">Not used.</param>
    /// <returns>The report of this part.</returns>
    public Task<DrainReport> DrainAsync(
        Func<TrackedConnectionInfo, bool> filter,
        DrainOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(filter);

        // Outside of the lock, because the filter is the caller's code.
        HashSet<TrackedConnectionInfo> chosen = [.. GetConnections().Where(filter)];
        lock (_lock)
        {
            return Task.FromResult(TakeGracefully_NeedsLock(chosen.Contains));
        }
    }

    /// <summary>Frees the tokens.</summary>
    public void Dispose()
    {
        _announced.Dispose();
        _started.Dispose();
    }

    private void Enter(DrainPhase phase)
    {
        lock (_lock)
        {
            _phase = _phase > phase ? _phase : phase;
        }
    }

    private DrainReport TakeGracefully_NeedsLock(Predicate<TrackedConnectionInfo> isChosen)
    {
        var count = _connections.RemoveAll(isChosen);
        return new DrainReport
        {
            Duration = TimeSpan.Zero,
            ConnectionCount = count,
            Outcomes = count == 0
                ? new Dictionary<CloseOutcome, int>()
                : new Dictionary<CloseOutcome, int> { [CloseOutcome.Graceful] = count },
            DiscardedBytes = 0,
            UnacknowledgedBytes = 0,
            UnansweredCount = 0,
            Aborted = [],
            UnendedHandlerCount = 0,
        };
    }
}
