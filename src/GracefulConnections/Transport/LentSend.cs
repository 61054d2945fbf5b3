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
    private const int Idle = 0;
    private const int Waiting = 1;

    private ManualResetValueTaskSourceCore<FlushResult> _wait;
    private int _waiting;
    private int _interrupted;
    private volatile bool _isDue;
    private volatile bool _isOver;

    /// <summary>Gets or sets what is not sent yet. Belongs to the one who sends while the send is due.</summary>
    public ReadOnlySequence<byte> Unsent { get; set; }

    /// <summary>Gets whether there is something to send.</summary>
    public bool IsDue => _isDue;

    /// <summary>Gets whether nothing is sent any more.</summary>
    public bool IsOver => _isOver;

    /// <summary>Lends memory. The caller tells the one who sends.</summary>
    public void Begin(in ReadOnlySequence<byte> bytes)
    {
        Unsent = bytes;
        _isDue = true; // Last: from here on the one who sends may look.
    }

    /// <summary>Waits until the memory is not used any more, or until <see cref="Interrupt"/>.</summary>
    /// <returns>
    /// Cancelled when it was interrupted: then the memory may still be used, and the caller waits again.
    /// </returns>
    public ValueTask<FlushResult> WaitAsync()
    {
        _wait.Reset();
        Interleaving.Point();
        Interlocked.Exchange(ref _waiting, Waiting); // Before the looks: what comes behind them wakes.
        if (!_isDue)
        {
            Wake(new FlushResult(isCanceled: false, _isOver));
        }
        else if (Volatile.Read(ref _interrupted) != 0)
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
        _isDue = false;
        Wake(new FlushResult(isCanceled: false, isOver));
    }

    /// <summary>Lets the one who waits look around, or the next one who waits.</summary>
    public void Interrupt()
    {
        Interlocked.Exchange(ref _interrupted, 1);
        if (Interlocked.Exchange(ref _waiting, Idle) == Waiting)
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

    private void Wake(in FlushResult result)
    {
        Interleaving.Point();
        if (Interlocked.Exchange(ref _waiting, Idle) == Waiting)
        {
            _wait.SetResult(result);
        }
    }
}
