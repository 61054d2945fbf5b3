using System.Buffers;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>A send of memory that belongs to somebody else: how it ends for the one who waits.</summary>
public class LentSendTests
{
    private static readonly ReadOnlySequence<byte> Bytes = new(new byte[10]);

    private readonly LentSend _sut = new();

    [Fact]
    public async Task End_WhileItIsAwaited_CompletesTheWait()
    {
        _sut.Begin(Bytes);
        var wait = _sut.WaitAsync();
        Assert.False(wait.IsCompleted);

        _sut.End(isOver: false);

        Assert.False(_sut.IsDue);
        var result = await wait;
        Assert.Equal((false, false), (result.IsCanceled, result.IsCompleted));
    }

    [Fact]
    public async Task End_BeforeItIsAwaited_TheWaitTellsHow()
    {
        _sut.Begin(Bytes);
        _sut.End(isOver: true);

        Assert.True((await _sut.WaitAsync()).IsCompleted);
        Assert.True(_sut.IsOver);
    }

    [Fact]
    public async Task Interrupt_WhileItIsAwaited_CancelsThisWaitOnly()
    {
        _sut.Begin(Bytes);
        var wait = _sut.WaitAsync();

        _sut.Interrupt();

        Assert.True((await wait).IsCanceled);
        Assert.True(_sut.IsDue);
        var again = _sut.WaitAsync();
        Assert.False(again.IsCompleted);
        _sut.End(isOver: false);
        Assert.False((await again).IsCanceled);
    }

    [Fact]
    public async Task Interrupt_BeforeItIsAwaited_CancelsTheNextWait()
    {
        _sut.Interrupt();
        _sut.Begin(Bytes);

        Assert.True((await _sut.WaitAsync()).IsCanceled);
        var wait = _sut.WaitAsync();
        Assert.False(wait.IsCompleted);
    }
}
