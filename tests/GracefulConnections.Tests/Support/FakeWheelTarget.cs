using GracefulConnections.Closing;

namespace GracefulConnections.Tests.Support;

/// <summary>Something to watch: remembers when it was looked at and answers as the test says.</summary>
internal sealed class FakeWheelTarget(Func<TimeSpan, TimeSpan?> look) : WheelTarget
{
    private readonly List<TimeSpan> _looks = [];

    public IReadOnlyList<TimeSpan> Looks => _looks;

    public Exception? Failure { get; private set; }

    public override TimeSpan? Look(TimeSpan now)
    {
        _looks.Add(now);
        return look(now);
    }

    public override void OnLookFailed(Exception exception) => Failure = exception;
}
