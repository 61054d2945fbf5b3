using System.Net;
using GracefulConnections.Draining;

namespace GracefulConnections.Tests.Support;

/// <summary>A connection that ends when the test says so, and remembers what a drain did to it.</summary>
internal sealed class FakeTrackedConnection(DrainCoordinator coordinator, TimeProvider time, string id) : TrackedConnection
{
    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _aborted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CloseResult? _result;
    private int _askCount;
    private int _abortCount;
    private int _abandonCount;
    private int _ended;
    private int _lookups;

    public override string Id { get; } = id;

    /// <summary>Gets what the application has set.</summary>
    public object? Tag { get; init; }

    public EndPoint? LocalEndPoint { get; init; }

    public EndPoint? RemoteEndPoint { get; init; }

    /// <summary>Gets whether the handler returns, and the peer's FIN comes, as soon as the connection is asked to close.</summary>
    public bool EndsWhenAsked { get; init; }

    /// <summary>Gets whether the handler goes on when the connection is aborted.</summary>
    public bool IgnoresAbort { get; init; }

    /// <summary>Gets whether an abort waits for a thread that never comes.</summary>
    public bool IsStarved { get; init; }

    public bool Busy { get; set; }

    public CloseState CurrentState { get; set; }

    public TimeSpan BusyTime { get; set; }

    public TimeSpan IdleTime { get; set; }

    public long DiscardedBytes { get; set; }

    public long? UnacknowledgedBytes { get; set; }

    public bool IsPeerWindowClosed { get; set; }

    /// <summary>Gets or sets what happens while somebody looks whether the handler is busy.</summary>
    public Action? Looked { get; set; }

    /// <summary>Gets or sets what happens while somebody takes the snapshot of the connection.</summary>
    public Action? Snapped { get; set; }

    /// <summary>Gets or sets what happens while somebody aborts the connection, before the abort has an effect.</summary>
    public Action? Aborting { get; set; }

    /// <summary>Gets or sets what happens while somebody asks the connection to close, before that has an effect.</summary>
    public Action? Asking { get; set; }

    /// <summary>Gets or sets what happens right before the coordinator hears of the end.</summary>
    public Action? Ending { get; set; }

    /// <summary>Gets how often a set of connections has looked for this one.</summary>
    public int LookupCount => _lookups;

    public int AskCount => _askCount;

    public bool IsAsked => _askCount > 0;

    public CloseReason? AskReason { get; private set; }

    public TimeSpan? LingerCap { get; private set; }

    /// <summary>Gets the timestamp of the first time that it was asked.</summary>
    public long AskedAt { get; private set; }

    public int AbortCount => _abortCount;

    public bool IsAborted => _abortCount > 0;

    public CloseReason? AbortReason { get; private set; }

    /// <summary>Gets the timestamp of the first time that it was aborted.</summary>
    public long AbortedAt { get; private set; }

    public int AbandonCount => _abandonCount;

    public bool HasEnded => Volatile.Read(ref _ended) == 1;

    /// <summary>Gets a task that completes when it was asked.</summary>
    public Task Asked => _asked.Task;

    /// <summary>Gets a task that completes when it was aborted.</summary>
    public Task Aborted => _aborted.Task;

    public override CloseState State => CurrentState;

    public override CloseResult? Result
    {
        get
        {
            lock (_asked)
            {
                return _result;
            }
        }
    }

    public override long StartTimestamp { get; } = time.GetTimestamp();

    /// <summary>Gets whether nobody can see what the handler does.</summary>
    public bool IsUnseen { get; init; }

    public override ConnectionActivity Activity
    {
        get
        {
            Looked?.Invoke();
            return Seen;
        }
    }

    private ConnectionActivity Seen =>
        IsUnseen ? ConnectionActivity.Unknown : Busy ? ConnectionActivity.Busy : ConnectionActivity.Idle;

    public override int GetHashCode()
    {
        Interlocked.Increment(ref _lookups);
        return base.GetHashCode();
    }

    public override TrackedConnectionInfo GetInfo()
    {
        Snapped?.Invoke();
        return new TrackedConnectionInfo
        {
            ConnectionId = Id,
            LocalEndPoint = LocalEndPoint,
            RemoteEndPoint = RemoteEndPoint,
            IsOutgoing = IsOutgoing,
            Tag = Tag,
            State = State,
            IsCloseRequested = IsAsked,
            Activity = Seen,
            Age = time.GetElapsedTime(StartTimestamp),
            BusyTime = BusyTime,
            IdleTime = IdleTime,
            UnacknowledgedBytes = UnacknowledgedBytes,
            IsPeerWindowClosed = IsPeerWindowClosed,
        };
    }

    public override void Ask(CloseReason reason, TimeSpan lingerCap)
    {
        Asking?.Invoke();
        if (Interlocked.Increment(ref _askCount) == 1)
        {
            AskReason = reason;
            LingerCap = lingerCap;
            AskedAt = time.GetTimestamp();
            _asked.SetResult();
        }

        if (EndsWhenAsked)
        {
            End();
        }
    }

    public override void Abort(CloseReason reason, bool isLimit)
    {
        Aborting?.Invoke();
        if (Interlocked.Increment(ref _abortCount) == 1)
        {
            AbortReason = reason;
            AbortedAt = time.GetTimestamp();
            _aborted.SetResult();
        }

        if (IsStarved)
        {
            return;
        }

        SetResult(CloseOutcome.Aborted);
        if (!IgnoresAbort)
        {
            End();
        }
    }

    public override void Abandon()
    {
        Interlocked.Increment(ref _abandonCount);
        End();
    }

    /// <summary>The close ended, and the handler has not returned.</summary>
    public void SetResult(CloseOutcome outcome)
    {
        lock (_asked)
        {
            if (_result is null)
            {
                CurrentState = outcome is CloseOutcome.Graceful or CloseOutcome.Acknowledged ? CloseState.Closed : CloseState.Aborted;
                _result = new CloseResult { Reason = AskReason ?? CloseReason.HandlerCompleted, Outcome = outcome, DiscardedBytes = DiscardedBytes, UnacknowledgedBytes = UnacknowledgedBytes };
            }
        }
    }

    /// <summary>The connection has ended, and its handler with it.</summary>
    public void End(CloseOutcome outcome = CloseOutcome.Graceful)
    {
        if (Interlocked.Exchange(ref _ended, 1) == 0)
        {
            SetResult(outcome);
            Ending?.Invoke();
            coordinator.Registry.Remove(this, Result!.Value);
        }
    }
}
