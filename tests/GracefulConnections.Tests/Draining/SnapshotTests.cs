using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Draining;

/// <summary><c>GetConnections()</c> with more connections than one thread looks at.</summary>
public sealed class SnapshotTests
{
    [Theory]
    [InlineData(512)]
    [InlineData(513)]
    [InlineData(2000)]
    public void GetConnections_Many_TellsOfEachOnce(int count)
    {
        var sut = new TestDrain();
        var ids = Enumerable.Range(0, count).Select(static i => $"{i}").ToArray();
        Array.ForEach(ids, id => sut.Accept(id));

        Assert.Equal(ids, sut.Coordinator.GetConnections().Select(static info => info.ConnectionId));
    }

    [Fact]
    public void GetConnections_Many_TwoThreadsLook()
    {
        Assert.SkipUnless(Environment.ProcessorCount > 1, "Needs two processors.");
        using var looking = new CountdownEvent(2);
        var sut = new TestDrain();
        for (var i = 0; i < 2000; i++)
        {
            sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, $"{i}") { Snapped = i % 1000 == 0 ? MeetTheOther : null });
        }

        Assert.Equal(2000, sut.Coordinator.GetConnections().Count);

        void MeetTheOther()
        {
            looking.Signal();
            Assert.True(looking.Wait(WaitLimit.Longest));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1999)]
    public void GetConnections_OneThrows_TellsTheCaller(int which)
    {
        var sut = new TestDrain();
        for (var i = 0; i < 2000; i++)
        {
            sut.Add(new FakeTrackedConnection(sut.Coordinator, sut.Time, $"{i}") { Snapped = i == which ? static () => throw new InvalidDataException() : null });
        }

        Assert.Throws<InvalidDataException>(sut.Coordinator.GetConnections);
    }
}
