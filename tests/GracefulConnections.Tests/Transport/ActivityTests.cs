using GracefulConnections.Transport;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.Tests.Transport;

public class ActivityTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    private readonly FakeTimeProvider _time = new();
    private Activity _sut;

    public ActivityTests() => _sut = new Activity(_time);

    private Habit Habit => _sut.GetHabit(usesScopes: false, isOutsideTls: false);

    [Fact]
    public void New_NothingHappened_HasAnsweredAndIsSilentSinceTheConnect()
    {
        _time.Advance(Second);

        Assert.Equal(default, Habit);
        Assert.Equal((Second, Second), (_sut.PeerSilence, _sut.HandlerSilence));
        Assert.Equal((0L, 0L), (_sut.LastByteAt, _sut.BusySince));
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void GetHabit_WhatTheCallerKnows_IsHandedOn(bool usesScopes, bool isOutsideTls)
    {
        var habit = _sut.GetHabit(usesScopes, isOutsideTls);

        Assert.Equal((usesScopes, isOutsideTls), (habit.UsesScopes, habit.IsOutsideTls));
    }

    [Fact]
    public void OnHanded_NotFlushedSince_IsUnanswered()
    {
        _sut.OnHanded();

        Assert.True(Habit is { WasHandedBytes: true, IsUnanswered: true, IsDuplex: false });
        Assert.True(_sut.IsUnanswered);
    }

    [Fact]
    public void OnFlushed_AfterBytesWereHanded_IsAnswered()
    {
        _sut.OnHanded();
        _sut.OnFlushed();

        Assert.True(Habit is { WasHandedBytes: true, IsUnanswered: false, IsDuplex: false });
    }

    [Fact]
    public void OnHanded_MoreAfterTheAnswer_IsUnansweredAgain()
    {
        _sut.OnHanded();
        _sut.OnFlushed();
        _sut.OnHanded();

        Assert.True(_sut.IsUnanswered);
    }

    [Fact]
    public void OnFlushed_WhileAReadIsPending_IsDuplexForGood()
    {
        _sut.IsReadPending = true;
        _sut.OnFlushed();
        _sut.IsReadPending = false;
        _sut.OnFlushed();

        Assert.True(Habit.IsDuplex);
    }

    [Fact]
    public void OnFlushed_AfterAReadWasPending_IsNotDuplex()
    {
        _sut.IsReadPending = true;
        _sut.IsReadPending = false;
        _sut.OnFlushed();

        Assert.False(Habit.IsDuplex);
    }

    [Fact]
    public void Silence_ByteOfEitherSide_StartsItsOwnAgain()
    {
        _time.Advance(Second);
        _sut.OnReceived(isFirst: true);
        _time.Advance(Second);
        _sut.OnFlushed();
        var flushedAt = _time.GetTimestamp();
        _time.Advance(Second);

        Assert.Equal((2 * Second, Second), (_sut.PeerSilence, _sut.HandlerSilence));
        Assert.Equal(flushedAt, _sut.LastByteAt);
    }

    [Fact]
    public void BusySince_MoreOfTheSameMessage_StaysAtItsFirstByte()
    {
        _time.Advance(Second);
        _sut.OnReceived(isFirst: true);
        var firstAt = _time.GetTimestamp();
        _time.Advance(Second);

        _sut.OnReceived(isFirst: false);

        Assert.Equal(firstAt, _sut.BusySince);
        Assert.Equal(TimeSpan.Zero, _sut.PeerSilence);
    }
}
