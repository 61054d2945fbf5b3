using System.Buffers;
using System.IO.Pipelines;
using GracefulConnections.Tests.Support;
using GracefulConnections.Transport;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>
/// One connection's input with its handler, its peer and everybody who wants something of the reader on threads of their own.
/// </summary>
internal sealed class InputRace
{
    private static readonly Habit Scoped = new(
        WasHandedBytes: false, IsUnanswered: false, IsDuplex: false, UsesScopes: true, IsOutsideTls: false);

    private readonly Random _random;
    private readonly Pipe _pipe;
    private readonly GuardedReader _inner;
    private readonly RecordingEvents _events = new();
    private readonly ReadPump _pump;
    private readonly bool _isRefused;
    private readonly int _patience;
    private int _runs;
    private long _consumed;

    public InputRace(int seed)
    {
        _random = new Random(seed);
        _pipe = new Pipe(new PipeOptions(
            readerScheduler: _random.Next(2) == 0 ? PipeScheduler.Inline : PipeScheduler.ThreadPool,
            pauseWriterThreshold: 0,
            minimumSegmentSize: 16,
            useSynchronizationContext: false));
        _inner = new GuardedReader(_pipe.Reader);
        var kind = _random.Next(2) == 0 ? InputKind.Transport : InputKind.Tls;
        _pump = new ReadPump(_inner, null, kind, _events);
        _isRefused = _random.Next(2) == 0;
        _patience = _random.Next(40);
    }

    /// <summary>Runs it, and throws if a byte is lost, comes twice, or somebody waits for ever.</summary>
    public async Task RunAsync()
    {
        var pauses = _random.Next(4);
        var handler = RunAsync(HandleAsync);
        var sending = RunAsync(SendAsync);
        await Task.WhenAll(handler, sending, RunAsync(random => PauseAsync(random, pauses)), RunAsync(CancelAsync), RunAsync(RefuseAsync))
            .InTimeAsync();
        _pump.Discard();
        await StressRun.UntilAsync(() => _events.Told.Contains(nameof(RecordingEvents.OnPeerFin)), "the peer's FIN");
        await _pump.StopAsync().InTimeAsync();
        var sent = await sending;
        var left = (_consumed, _pump.ReceivedBytes, _pump.DiscardedBytes, _runs, _events.Fault, _inner.Broken);
        BrokenInvariantException.ThrowIf(left != (_consumed, sent, sent - _consumed, pauses, null, null), $"{left} of {sent}, {pauses}");
    }

    private Task<int> RunAsync(Func<Random, Task<int>> act)
    {
        var random = new Random(_random.Next());
        return Task.Run(() => act(random));
    }

    private async Task<int> SendAsync(Random random)
    {
        var sent = 0;
        for (var i = random.Next(30); i > 0; i--)
        {
            var length = random.Next(1, 40);
            Pattern.At(sent, length).Span.CopyTo(_pipe.Writer.GetSpan(length));
            _pipe.Writer.Advance(length);
            sent += length;
            await _pipe.Writer.FlushAsync();
            await YieldAsync(random);
        }

        await _pipe.Writer.CompleteAsync();
        return sent;
    }

    private async Task<int> HandleAsync(Random random)
    {
        var input = _pump;
        try
        {
            for (var i = 0; i < _patience; i++)
            {
                if (!input.TryRead(out var result) || random.Next(4) == 0)
                {
                    result = await ReadAsync(random, result);
                }

                if (!Take(random, result) || (result.IsCompleted && result.Buffer.IsEmpty))
                {
                    break;
                }

                await YieldAsync(random);
            }
        }
        catch (OperationCanceledException) when (_pump.IsRefused)
        {
            // The close request, which is one of the ways to the end.
        }

        if (random.Next(3) == 0)
        {
            await input.CompleteAsync();
        }

        _pump.Close();
        return 0;
    }

    private async ValueTask<ReadResult> ReadAsync(Random random, ReadResult held)
    {
        if (!held.Buffer.IsEmpty || held.IsCanceled || held.IsCompleted)
        {
            _pump.AdvanceTo(held.Buffer.Start);
        }

        if (random.Next(3) > 0)
        {
            return random.Next(4) == 0 ? await _pump.ReadAtLeastAsync(random.Next(60)) : await _pump.ReadAsync();
        }

        using var cancellation = new CancellationTokenSource();
        var cancelling = Task.Run(cancellation.Cancel);
        try
        {
            return await _pump.ReadAsync(cancellation.Token);
        }
        catch (OperationCanceledException exception) when (exception.CancellationToken == cancellation.Token)
        {
            return await _pump.ReadAsync();
        }
        finally
        {
            await cancelling;
        }
    }

    private bool Take(Random random, ReadResult result)
    {
        var length = result.Buffer.Length;
        var expected = Pattern.At(_consumed, (int)length);
        BrokenInvariantException.ThrowIf(!result.Buffer.ToArray().AsSpan().SequenceEqual(expected.Span), $"other bytes at {_consumed}");
        if (random.Next(30) == 0)
        {
            return false; // Returns with the buffer in hand.
        }

        var consumed = random.Next(3) == 0 ? random.Next((int)length + 1) : length;
        _consumed += consumed;
        var position = result.Buffer.GetPosition(consumed);
        _pump.AdvanceTo(position, random.Next(2) == 0 ? position : result.Buffer.End);
        return true;
    }

    private async Task<int> PauseAsync(Random random, int pauses)
    {
        for (var i = 0; i < pauses; i++)
        {
            var ran = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _pump.RunBetweenReads(() =>
            {
                _inner.MustNotRead();
                Thread.SpinWait(random.Next(200));
                _inner.MustNotRead();
                _runs++;
                ran.SetResult();
            });
            await ran.Task.InTimeAsync();
            await YieldAsync(random);
        }

        return 0;
    }

    private async Task<int> CancelAsync(Random random)
    {
        for (var i = random.Next(4); i > 0; i--)
        {
            _pump.CancelPendingRead();
            await YieldAsync(random);
        }

        return 0;
    }

    private async Task<int> RefuseAsync(Random random)
    {
        _pump.Ask(new CancellationToken(canceled: true));
        for (var i = _isRefused ? random.Next(30) : 0; i > 0; i--)
        {
            _pump.TryRefuse(Scoped, default, TimeSpan.Zero);
            await YieldAsync(random);
        }

        return 0;
    }

    private static async ValueTask YieldAsync(Random random)
    {
        for (var i = random.Next(4); i > 0; i--)
        {
            await Task.Yield();
        }
    }
}
