namespace GracefulConnections.Closing;

/// <summary>
/// Lets at most one report of lost output a second through, and counts the others. A cut cable loses the output of
/// thousands of connections, and the first line says it all.
/// </summary>
internal sealed class LossLimiter
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(1);

    private readonly Lock _lock = new();
    private TimeSpan _nextAt = TimeSpan.MinValue;
    private int _leftOutCount;

    /// <param name="now">What time it is.</param>
    /// <param name="leftOutCount">How many were left out since the last one that was let through.</param>
    /// <returns>Whether this one is let through.</returns>
    public bool TryPass(TimeSpan now, out int leftOutCount)
    {
        lock (_lock)
        {
            leftOutCount = _leftOutCount;
            if (now < _nextAt)
            {
                _leftOutCount++;
                return false;
            }

            _nextAt = TimerWheel.Add(now, Interval);
            _leftOutCount = 0;
            return true;
        }
    }
}
