using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace TcpProxy;

/// <summary>
/// Relays between two legs, each direction on its own. What happens on one leg happens on the other: FIN becomes FIN, behind everything that was relayed, and a reset becomes a reset.
/// What does not fit into a leg's buffers is not read from the other: a peer that reads slowly slows the sender down, and costs no memory.
/// </summary>
internal sealed class Relay(ConnectionContext downstream, ConnectionContext upstream, Counters counters)
{
    private readonly Leg _downstream = new(downstream);
    private readonly Leg _upstream = new(upstream);
    private volatile bool _isUnanswered; // The last bytes that were relayed went to the upstream.
    private int _wasReset;

    /// <summary>Relays until both directions have ended.</summary>
    public async Task RunAsync()
    {
        // A direction that waits for one leg hears nothing of the other's reset.
        using var downstreamOver = _downstream.Over.UnsafeRegister(_ => OnOver(_downstream, _upstream), null);
        using var upstreamOver = _upstream.Over.UnsafeRegister(_ => OnOver(_upstream, _downstream), null);

        // A limit of the upstream leg, its IdleTimeout for example, is for both: it asks the peer's connection to close, whose
        // reads are cancelled when both sides are silent. Then the upstream gets our FIN, and its reply still goes through.
        using var upstreamLimit = _upstream.Close.CloseRequested.UnsafeRegister(_ => _downstream.Close.RequestClose(), null);

        await Task.WhenAll(
            RelayAsync(_downstream, _upstream, isRequest: true, counters.AddToUpstream),
            RelayAsync(_upstream, _downstream, isRequest: false, counters.AddToDownstream));
    }

    private async Task RelayAsync(Leg from, Leg to, bool isRequest, Action<long> count)
    {
        try
        {
            ReadResult read;
            do
            {
                read = await from.Input.ReadAsync();
                var bytes = Write(read.Buffer, to.Output);
                from.Input.AdvanceTo(read.Buffer.End);
                _isUnanswered = bytes > 0 ? isRequest : _isUnanswered;
                if (bytes > 0 && !await TryFlushAsync(from, to))
                {
                    Reset(from);
                    return;
                }

                count(bytes);
            }
            while (!read.IsCompleted);

            to.HalfClose();
        }
        catch (Exception exception) when (exception is IOException or ConnectionAbortedException)
        {
            Reset(to); // This leg was reset, or aborted by one of its limits. The library has logged it.
        }
        catch (OperationCanceledException) when (from.Close.CloseRequested.IsCancellationRequested)
        {
            // A close request cancelled the read. That is no FIN of this leg's peer, which may be in the middle of a message: the
            // other leg gets one only if nothing is left to be answered.
            if (_isUnanswered)
            {
                Reset(to);
            }
            else
            {
                to.HalfClose();
            }
        }
    }

    private static long Write(ReadOnlySequence<byte> bytes, PipeWriter output)
    {
        foreach (var segment in bytes)
        {
            output.Write(segment.Span);
        }

        return bytes.Length;
    }

    /// <summary>Waits until the leg has taken enough for more.</summary>
    /// <returns><see langword="false"/> when it takes nothing any more.</returns>
    private static async ValueTask<bool> TryFlushAsync(Leg from, Leg to)
    {
        var flush = await to.Output.FlushAsync();
        while (flush.IsCanceled)
        {
            from.ThrowIfReset();
            flush = await to.Output.FlushAsync();
        }

        return !flush.IsCompleted;
    }

    private void OnOver(Leg leg, Leg other)
    {
        if (leg.IsCutOff)
        {
            Reset(other);
        }
        else
        {
            other.Output.CancelPendingFlush(); // Perhaps it ended well, and only the other's peer is slow. If it was reset, the next read tells.
        }
    }

    private void Reset(Leg leg)
    {
        if (Interlocked.Exchange(ref _wasReset, 1) == 0)
        {
            counters.AddReset();
        }

        leg.Reset();
    }
}
