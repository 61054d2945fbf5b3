using System.Buffers;
using System.IO.Pipelines;
using System.Threading.Tasks.Sources;
using GracefulConnections.Diagnostics;

namespace GracefulConnections.Transport;

/// <summary>
/// A send of memory that belongs to somebody else, who waits until it is over and may look around meanwhile. There is
/// one at a time, and the object serves all of a connection.
/// </summary>
internal sealed class LentSend : IValueTaskSource<FlushResult>
{
    // One word for the life of a send, so that its end is one step: whoever sees it may begin the next one, and must
    // not meet what is left of this one.
    private const int Idle = 0;
    private const int Due = 1;
    private const int Awaited = 2;

    private ManualResetValueTaskSourceCore<FlushResult> _wait;
    private int _state;
    private int _interrupted;
    private volatile bool _isOver;

    /// <summary>Gets or sets what is not sent yet. Belongs to the one who sends while the send is due.</summary>
    public ReadOnlySequence<byte> Unsent { get; set; }

    /// <summary>Gets whether there is something to send.</summary>
    public bool IsDue => Volatile.Read(ref _state) != Idle;

    /// <summary>Gets whether nothing is sent any more.</summary>
    public bool IsOver => _isOver;

    /// <summary>Lends memory. The caller tells the one who sends.</summary>
    public void Begin(in ReadOnlySequence<byte> bytes)
    {
        Unsent = bytes;
        Volatile.Write(ref _state, Due); // Last: from here on the one who sends may look.
    }

    /// <summary>Waits until the memory is not used any more, or until <see cref="Interrupt"/>.</summary>
    /// <returns>
    /// Cancelled when it was interrupted: then the memory may still be used, and the caller waits again.
    /// </returns>
    public ValueTask<FlushResult> WaitAsync()
    {
        _wait.Reset();
        Interleaving.Point();
        if (Interlocked.CompareExchange(ref _state, Awaited, Due) != Due)
        {
            return new ValueTask<FlushResult>(new FlushResult(isCanceled: false, _isOver));
        }

        if (Volatile.Read(ref _interrupted) != 0)
        {
            Interrupt();
        }

        return new ValueTask<FlushResult>(this, _wait.Version);
    }

    /// <summary>The memory is not used any more.</summary>
    /// <param name="isOver">Whether nothing is sent any more.</param>
    public void End(bool isOver)
    {
        Unsent = default;
        _isOver = isOver;
        Interleaving.Point();
        if (Interlocked.Exchange(ref _state, Idle) == Awaited)
        {
            _wait.SetResult(new FlushResult(isCanceled: false, isOver));
        }
    }

    /// <summary>Lets the one who waits look around, or the next one who waits.</summary>
    public void Interrupt()
    {
        Interlocked.Exchange(ref _interrupted, 1);
        Interleaving.Point();
        if (Interlocked.CompareExchange(ref _state, Due, Awaited) == Awaited)
        {
            Volatile.Write(ref _interrupted, 0);
            _wait.SetResult(new FlushResult(isCanceled: true, isCompleted: false));
        }
    }

    FlushResult IValueTaskSource<FlushResult>.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<FlushResult>.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource<FlushResult>.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);
}
