using GracefulConnections.Closing;

namespace GracefulConnections.Tests.Support;

/// <summary>Something to sweep: remembers when it was swept and answers as the test says.</summary>
internal sealed class FakeSweepable(Func<TimeSpan, TimeSpan?> sweep) : Sweepable
{
    private readonly List<TimeSpan> _swept = [];

    public IReadOnlyList<TimeSpan> Swept => _swept;

    public override TimeSpan? Sweep(TimeSpan now)
    {
        _swept.Add(now);
        return sweep(now);
    }
}
