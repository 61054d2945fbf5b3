using System.Buffers;
using GracefulConnections.Diagnostics;
using GracefulConnections.Tests.Stress;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Transport;

/// <summary>What the one who lends may do in the middle of a send's end, on the thread of the one who sends.</summary>
[Collection(DelayedThreads.Name)]
public class LentSendOrderTests
{
    private static readonly ReadOnlySequence<byte> Bytes = new(new byte[10]);

    private readonly LentSend _sut = new();

    // Whoever sees the end may lend again at once: what is left of the end must not end the next wait too.
    [Fact]
    public async Task End_TheNextSendBeginsAsSoonAsItMay_EndsOneSendOnly()
    {
        Task? next = null;
        _sut.Begin(Bytes);

        InTheMiddle(
            () => _sut.End(isOver: false),
            () =>
            {
                if (!_sut.IsDue)
                {
                    next = LendAndWaitAsync();
                }
            });

        next ??= LendAndWaitAsync();
        Assert.False(next.IsCompleted);
        _sut.End(isOver: false);
        await next.WithinLimit();
    }

    [Fact]
    public async Task End_TheWaitBeginsInTheMiddle_CompletesIt()
    {
        Task? wait = null;
        _sut.Begin(Bytes);

        InTheMiddle(() => _sut.End(isOver: false), () => wait = WaitAsync());

        Assert.False(_sut.IsDue);
        await wait!.WithinLimit();
    }

    [Fact]
    public async Task End_InTheMiddleOfAWaitsBeginning_CompletesIt()
    {
        Task? wait = null;
        _sut.Begin(Bytes);

        InTheMiddle(() => wait = WaitAsync(), () => _sut.End(isOver: false));

        await wait!.WithinLimit();
    }

    [Fact]
    public async Task End_InTheMiddleOfAnInterrupt_TheWaitIsNotCancelled()
    {
        _sut.Begin(Bytes);
        var wait = _sut.WaitAsync().AsTask();

        InTheMiddle(_sut.Interrupt, () => _sut.End(isOver: false));

        Assert.False((await wait.WithinLimit()).IsCanceled);
    }

    private static void InTheMiddle(Action act, Action inTheMiddle)
    {
        var thread = Environment.CurrentManagedThreadId;
        var isDue = true;
        Interleaving.Set(() =>
        {
            if (isDue && Environment.CurrentManagedThreadId == thread)
            {
                isDue = false;
                inTheMiddle();
            }
        });
        try
        {
            act();
        }
        finally
        {
            Interleaving.Set(null);
        }

        Assert.False(isDue, "The code has no point in its middle any more.");
    }

    private Task LendAndWaitAsync()
    {
        _sut.Begin(Bytes);
        return WaitAsync();
    }

    private async Task WaitAsync() => await _sut.WaitAsync();
}
