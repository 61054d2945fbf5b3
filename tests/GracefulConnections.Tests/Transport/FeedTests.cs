using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>Which flushes are those of a feed.</summary>
public class FeedTests
{
    private Feed _sut;
    private long _written = int.MaxValue - 100L; // The count goes on behind it.

    [Fact]
    public void OnFlush_SmallOnesInARow_AreAFeedFromTheFourthOn() =>
        Assert.Equal([false, false, false, true, true, true], FlushAll(0, 0, 0, 0, 0, 0));

    [Fact]
    public void OnFlush_AnswerInBetween_BeginsAnew() =>
        Assert.Equal([false, false, false, true, false, false, false, false, true], FlushAll(0, 0, 0, 0, -1, 0, 0, 0, 0));

    [Fact]
    public void OnFlush_LargeOneInBetween_BeginsAnew() => Assert.Equal(
        [false, false, false, true, true, false, false],
        FlushAll(0, 0, 0, 0, Feed.SmallBytes - 1, Feed.SmallBytes, 0));

    private bool[] FlushAll(params int[] more)
    {
        _sut.OnFlush(_written, isAnswer: true);
        return Array.ConvertAll(more, count => _sut.OnFlush(_written += 1 + Math.Max(0, count), isAnswer: count < 0));
    }
}
