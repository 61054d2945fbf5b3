using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.TestSupport;

/// <summary>
/// Peers that connect, ask, read the answer to its end and close, again and again, and count every way in which a
/// server that is replaced can lose one of them.
/// </summary>
public sealed class ConnectLoad : IAsyncDisposable
{
    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(30);

    private readonly CancellationTokenSource _stopped = new();
    private readonly ConcurrentDictionary<string, int> _lost = new();
    private readonly Task[] _peers;
    private long _worstTicks;
    private int _count;

    /// <summary>Starts the peers.</summary>
    /// <param name="endPoint">Where to connect to.</param>
    /// <param name="request">What each connection sends.</param>
    /// <param name="count">How many peers there are at once.</param>
    /// <param name="thinkTime">How long each waits between its connect and its request.</param>
    /// <param name="pause">How long each waits between two connections.</param>
    /// <param name="staysOpen">Whether a peer does not ask for the end, and waits for the server's.</param>
    public ConnectLoad(
        EndPoint endPoint,
        ReadOnlyMemory<byte> request,
        int count,
        TimeSpan thinkTime,
        TimeSpan pause,
        bool staysOpen = false) =>
        _peers = [.. Enumerable.Range(0, count).Select(_ => Task.Run(async () =>
        {
            while (!_stopped.IsCancellationRequested)
            {
                await ConnectAsync(endPoint, request, thinkTime, staysOpen);
                await WaitAsync(pause);
            }
        }))];

    /// <summary>Gets how many connections were served.</summary>
    public int Served => Volatile.Read(ref _count);

    /// <summary>Gets how many were lost, in which way.</summary>
    public IReadOnlyDictionary<string, int> Lost => _lost;

    /// <summary>Gets the longest time of a connect and its answer, without the wait between them.</summary>
    public TimeSpan Worst => TimeSpan.FromTicks(Volatile.Read(ref _worstTicks));

    /// <summary>Waits until so many more were served.</summary>
    public Task ServesMoreAsync(int count)
    {
        var goal = Served + count;
        return Eventually.IsTrueAsync(() => Served >= goal, $"{count} more connections are served");
    }

    /// <summary>Lets every peer end what it has begun, and ends it.</summary>
    public async Task StopAsync()
    {
        await _stopped.CancelAsync();
        await Task.WhenAll(_peers).WaitAsync(WaitLimit.Longest);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _stopped.Dispose();
    }

    private async Task ConnectAsync(EndPoint endPoint, ReadOnlyMemory<byte> request, TimeSpan thinkTime, bool staysOpen)
    {
        using var socket = endPoint is UnixDomainSocketEndPoint
            ? new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified)
            : new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using var limit = new CancellationTokenSource(AnswerLimit);
        var step = "connect";
        var received = 0;
        try
        {
            var started = Stopwatch.GetTimestamp();
            await socket.ConnectAsync(endPoint, limit.Token);
            var waited = Stopwatch.GetTimestamp();
            await WaitAsync(thinkTime);
            var waiting = Stopwatch.GetElapsedTime(waited);
            step = "request";
            await socket.SendAsync(request, limit.Token);
            step = "answer";
            var buffer = new byte[1024];
            for (int count; (count = await socket.ReceiveAsync(buffer, limit.Token)) > 0;)
            {
                if (received == 0)
                {
                    Note(Stopwatch.GetElapsedTime(started) - waiting);
                    step = "end";
                }

                if (received == 0 && staysOpen)
                {
                    limit.CancelAfter(Timeout.InfiniteTimeSpan); // The end comes with the server's, or with the load's.
                    _stopped.Token.UnsafeRegister(static socket => End((Socket)socket!), socket);
                }

                received += count;
            }

            if (received == 0)
            {
                Lose("end without an answer");
            }
            else
            {
                Interlocked.Increment(ref _count);
            }
        }
        catch (SocketException exception)
        {
            Lose($"{exception.SocketErrorCode} at {step}");
        }
        catch (OperationCanceledException)
        {
            Lose($"nothing for {AnswerLimit.TotalSeconds} s at {step}");
        }
    }

    private void Note(TimeSpan time)
    {
        for (var worst = Volatile.Read(ref _worstTicks); time.Ticks > worst;)
        {
            worst = Interlocked.CompareExchange(ref _worstTicks, time.Ticks, worst);
        }
    }

    private void Lose(string way) => _lost.AddOrUpdate(way, 1, static (_, count) => count + 1);

    private async Task WaitAsync(TimeSpan time)
    {
        if (time > TimeSpan.Zero)
        {
            using var timer = new PeriodicTimer(time);
            Task tick = timer.WaitForNextTickAsync(_stopped.Token).AsTask();
            await tick.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static void End(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // It has ended before.
        }
    }
}
