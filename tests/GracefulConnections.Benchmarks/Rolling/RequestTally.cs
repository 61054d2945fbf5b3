namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>How the requests of one kind went. Thread-safe.</summary>
internal sealed class RequestTally(string name)
{
    private readonly Dictionary<string, int> _failures = [];
    private int _tried;
    private int _triedAgain;

    public string Name => name;

    public int Tried => Volatile.Read(ref _tried);

    /// <summary>Gets how often a request was sent again, because the connection had ended before its reply began.</summary>
    public int TriedAgain => Volatile.Read(ref _triedAgain);

    public int Failed
    {
        get
        {
            lock (_failures)
            {
                return _failures.Values.Sum();
            }
        }
    }

    public void Succeed() => Interlocked.Increment(ref _tried);

    public void TryAgain() => Interlocked.Increment(ref _triedAgain);

    public void Fail(string how)
    {
        lock (_failures)
        {
            _failures[how] = _failures.GetValueOrDefault(how) + 1;
        }

        Interlocked.Increment(ref _tried);
    }

    /// <summary>Says how requests failed: <c>3 end in the middle of a reply</c>.</summary>
    public string DescribeFailures()
    {
        lock (_failures)
        {
            return string.Join(", ", _failures.Select(static failure => $"{failure.Value} {failure.Key}"));
        }
    }
}
