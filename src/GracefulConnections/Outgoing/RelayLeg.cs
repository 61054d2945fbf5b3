using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Pipeline;
using GracefulConnections.Transport;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Outgoing;

/// <summary>One of a relay's two connections.</summary>
internal sealed class RelayLeg(ConnectionContext connection, GracefulConnection graceful)
{
    private readonly LentSend _lent = new();
    private readonly PipeWriter _output = connection.Transport.Output;
    private TaskCompletionSource? _interruption; // Most relays lend everything, and never need it.
    private int _pending; // Sends, of which there is one at most.
    private long _sends;
    private long _progress;
    private TimeSpan _progressAt;
    private volatile bool _isHalfClosed;
    private volatile bool _isGone;
    private volatile bool _isLeft;

    public PipeReader Input { get; } = connection.Transport.Input;

    public GracefulConnection Graceful => graceful;

    /// <summary>Gets a number that stays the same for as long as one send is held up; 0 where none is.</summary>
    public long HeldUpSend => Volatile.Read(ref _pending) == 0 ? 0 : Volatile.Read(ref _sends);

    /// <summary>Gets a token that is cancelled when nothing more is received, or the connection is over.</summary>
    public CancellationToken InputOver => connection.ConnectionClosed;

    /// <summary>Gets or sets whether the connection was reset, so that nothing can be sent to it any more.</summary>
    public bool IsGone
    {
        get => _isGone;
        set => _isGone = value;
    }

    /// <summary>Gets whether the connection's FIN had been received when it was reset.</summary>
    public bool HadEndedAtReset => graceful.Input.End.HadEndedAtReset;

    /// <summary>Gets whether FIN was sent, or follows what is still to be sent.</summary>
    public bool IsHalfClosed => _isHalfClosed;

    /// <summary>Gets whether nobody waits for what the connection sends any more.</summary>
    public bool IsLeft => _isLeft;

    private TaskCompletionSource Interruption => LazyInitializer.EnsureInitialized(
        ref _interruption, static () => new(TaskCreationOptions.RunContinuationsAsynchronously));

    /// <summary>
    /// Sends what was read from the other leg, gives it back there, and waits until the connection takes more.
    /// </summary>
    /// <param name="bytes">What was read.</param>
    /// <param name="from">Where it was read. A reset there is noticed meanwhile.</param>
    /// <returns><see langword="false"/> when the connection takes nothing any more.</returns>
    public ValueTask<bool> SendAsync(in ReadOnlySequence<byte> bytes, RelayLeg from)
    {
        var isLent = _output is TransportOutput output && output.TryLend(_lent, bytes);
        if (!isLent || _lent.IsDue)
        {
            return WaitAsync(bytes, from, isLent);
        }

        from.Input.AdvanceTo(bytes.End); // The kernel took everything at once, as it mostly does.
        return new ValueTask<bool>(!_lent.IsOver);
    }

    /// <summary>Has a send that is pending look whether its sender was reset.</summary>
    public void Interrupt()
    {
        _lent.Interrupt();
        Interruption.TrySetResult();
    }

    /// <summary>Sends FIN behind everything that was relayed. The other direction goes on.</summary>
    public void HalfClose()
    {
        _output.Complete();
        _isHalfClosed = true;
    }

    /// <summary>Returns since when the output has made no progress.</summary>
    public TimeSpan NoteProgress(long progress, TimeSpan now)
    {
        if (progress != _progress || _progressAt == default)
        {
            (_progress, _progressAt) = (progress, now);
        }

        return _progressAt;
    }

    /// <summary>Ends the wait for what the connection sends.</summary>
    public void Leave()
    {
        _isLeft = true;
        Input.CancelPendingRead();
    }

    /// <summary>Sends RST, unless the connection is over already.</summary>
    public void Reset()
    {
        if (graceful.State is not (CloseState.Closed or CloseState.Aborted))
        {
            graceful.Reset(new ConnectionAbortedException("The other connection of the relay was reset."));
        }
    }

    private async ValueTask<bool> WaitAsync(ReadOnlySequence<byte> bytes, RelayLeg from, bool isLent)
    {
        Volatile.Write(ref _sends, _sends + 1);
        Volatile.Write(ref _pending, 1);
        if (!isLent)
        {
            foreach (var segment in bytes)
            {
                _output.Write(segment.Span);
            }

            from.Input.AdvanceTo(bytes.End);
        }

        FlushResult flush;
        while ((flush = await SendAsync(isLent, from).ConfigureAwait(false)).IsCanceled)
        {
            await LookForResetAsync(from, isLent ? bytes.Start : null).ConfigureAwait(false);
        }

        Volatile.Write(ref _pending, 0);
        if (isLent)
        {
            from.Input.AdvanceTo(bytes.End);
        }

        return !flush.IsCompleted;
    }

    private ValueTask<FlushResult> SendAsync(bool isLent, RelayLeg from) =>
        isLent ? _lent.WaitAsync() : FlushAsync(from);

    // An interruption does not cancel the flush. TLS, and every other stream behind a writer, may have passed a part of
    // the bytes on: the writer would send all of them once more, and TLS ends in the middle of a record.
    private async ValueTask<FlushResult> FlushAsync(RelayLeg from)
    {
        var flush = _output.FlushAsync();
        if (flush.IsCompletedSuccessfully)
        {
            return flush.Result;
        }

        var flushing = flush.AsTask();
        while (await Task.WhenAny(flushing, Interruption.Task).ConfigureAwait(false) != flushing)
        {
            Volatile.Write(ref _interruption, null);
            try
            {
                await LookForResetAsync(from, held: null).ConfigureAwait(false);
            }
            catch
            {
                // Nobody waits for it any more, and an error of it would be one that nobody observed.
                _ = flushing.ContinueWith(static flush => flush.Exception, TaskScheduler.Default);
                throw;
            }
        }

        return await flushing.ConfigureAwait(false);
    }

    /// <summary>Throws if the sender was reset.</summary>
    /// <param name="from">The sender.</param>
    /// <param name="held">Where what it sent last begins, if that is lent: it stays where it is.</param>
    private async ValueTask LookForResetAsync(RelayLeg from, SequencePosition? held)
    {
        try
        {
            if (held is { } start)
            {
                from.Input.AdvanceTo(start, start); // Nothing of it counts as seen, so that the next read returns it.
            }

            if (from.Input.TryRead(out var read) && held is null)
            {
                from.Input.AdvanceTo(read.Buffer.Start);
            }
        }
        catch (Exception exception) when (held is not null && exception is IOException or ConnectionAbortedException)
        {
            Reset();
            while ((await _lent.WaitAsync().ConfigureAwait(false)).IsCanceled)
            {
                // The memory is the sender's, whose end gives it back: not before the socket is done with it.
            }

            throw;
        }
    }
}
