using System.IO.Pipelines;

namespace GracefulConnections.Tests.Support;

/// <summary>
/// A reader of foreign code, whose reads the test completes. It may ignore its cancellation, and it may block its caller.
/// </summary>
internal sealed class ScriptedReader : PipeReader, IDisposable
{
    private readonly ManualResetEventSlim _goOn = new(initialState: true);
    private readonly TaskCompletionSource _entered = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource<ReadResult>? _read;
    private int _reads;
    private int _cancellations;
    private int _advances;

    /// <summary>Gets or sets whether a cancelled read completes. Foreign code need not do that.</summary>
    public bool HeedsCancellation { get; set; }

    /// <summary>Gets or sets whether a cancellation blocks its thread as a read does, and then throws.</summary>
    public bool BlocksCancellation { get; set; }

    /// <summary>Gets how many reads were begun, and can be completed or have been.</summary>
    public int Reads => Volatile.Read(ref _reads);

    /// <summary>Gets how often a read was cancelled.</summary>
    public int Cancellations => Volatile.Read(ref _cancellations);

    /// <summary>Gets a task that completes when somebody is inside of a read.</summary>
    public Task Entered => _entered.Task;

    /// <summary>Gets how often what was read was given back.</summary>
    public int Advances => Volatile.Read(ref _advances);

    /// <summary>From now on a read blocks its thread until <see cref="Unblock"/>.</summary>
    public void Block() => _goOn.Reset();

    public void Unblock() => _goOn.Set();

    /// <summary>Completes the pending read, on this thread, and runs whoever waits for it.</summary>
    public void Complete(ReadResult result) => Interlocked.Exchange(ref _read, null)!.SetResult(result);

    public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        _entered.TrySetResult();
        Assert.True(_goOn.Wait(TestLimit.Longest, CancellationToken.None), "Nobody unblocked the reader.");
        var read = new TaskCompletionSource<ReadResult>();
        Volatile.Write(ref _read, read);
        Interlocked.Increment(ref _reads);
        return new ValueTask<ReadResult>(read.Task);
    }

    public override bool TryRead(out ReadResult result)
    {
        result = default;
        return false;
    }

    public override void AdvanceTo(SequencePosition consumed) => Interlocked.Increment(ref _advances);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => AdvanceTo(consumed);

    public override void CancelPendingRead()
    {
        if (BlocksCancellation)
        {
            Assert.True(_goOn.Wait(TestLimit.Longest, CancellationToken.None), "Nobody unblocked the reader.");
            throw new InvalidTimeZoneException("As a callback of the stream's token may.");
        }

        Interlocked.Increment(ref _cancellations);
        if (HeedsCancellation && Volatile.Read(ref _read) is not null)
        {
            Complete(new ReadResult(default, isCanceled: true, isCompleted: false));
        }
    }

    public override void Complete(Exception? exception = null)
    {
    }

    public void Dispose() => _goOn.Dispose();
}
