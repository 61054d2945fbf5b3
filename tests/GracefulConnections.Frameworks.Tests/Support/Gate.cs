namespace GracefulConnections.Frameworks.Tests.Support;

/// <summary>Holds the work of a server until it is let go, so that a stop meets calls that are in hand.</summary>
public sealed class Gate
{
    private readonly TaskCompletionSource _open = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _allInHand = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _expected = int.MaxValue;
    private int _inHand;

    /// <summary>Gets a task that completes when so many calls as expected are in hand.</summary>
    public Task AllInHand => _allInHand.Task;

    /// <summary>From now on calls are held, and so many are expected.</summary>
    public void Close(int expected) => Volatile.Write(ref _expected, expected);

    public void Open() => _open.TrySetResult();

    /// <summary>Called by the work. Returns at once until the gate is closed.</summary>
    public async Task PassAsync()
    {
        if (Volatile.Read(ref _expected) == int.MaxValue)
        {
            return;
        }

        if (Interlocked.Increment(ref _inHand) == Volatile.Read(ref _expected))
        {
            _allInHand.TrySetResult();
        }

        await _open.Task;
    }
}
