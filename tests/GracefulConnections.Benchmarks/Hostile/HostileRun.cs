using System.Diagnostics;
using GracefulConnections.Testing;
using GracefulConnections.TestSupport;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Many hostile connections at a time on one server, until there were enough or the time is over.</summary>
internal sealed class HostileRun(int seed, int closes, TimeSpan limit, HostileTally tally)
{
    private const int AtATime = 512;

    // Far beyond every limit of the server's, and of a machine that is busy otherwise.
    private static readonly TimeSpan Hung = TimeSpan.FromSeconds(60);

    private readonly long _began = Stopwatch.GetTimestamp();
    private int _next;

    public async Task RunAsync()
    {
        var errors = new ErrorCount();
        await using (var warm = await HostileServer.StartAsync(errors))
        {
            await PlayAsync(warm, 0); // So that what the runtime opens once is there before the count.
        }

        using var unobserved = new UnobservedCount();
        var before = KernelSocket.CountDescriptors();
        var server = await HostileServer.StartAsync(errors);
        await using (server)
        {
            await Task.WhenAll(Enumerable.Range(0, AtATime).Select(_ => Task.Run(() => WorkAsync(server))));
        }

        UnobservedCount.Collect();
        tally.Finish(
            Stopwatch.GetElapsedTime(_began),
            KernelSocket.CountDescriptors() - before,
            unobserved,
            errors,
            server.Memory);
    }

    private async Task WorkAsync(HostileServer server)
    {
        while (Stopwatch.GetElapsedTime(_began) < limit && Interlocked.Increment(ref _next) is var index && index <= closes)
        {
            tally.Add(await PlayAsync(server, index));
        }
    }

    private async Task<HostilePlay> PlayAsync(HostileServer server, int index)
    {
        var play = new HostilePlay(HostileScript.Create(seed, index));
        using var peer = PeerSide.Bind(play);
        server.Expect(play);
        using var hung = new CancellationTokenSource(Hung);
        try
        {
            await PlayAsync(server, play, peer).WaitAsync(hung.Token);
        }
        catch (OperationCanceledException)
        {
            play.Hang();
        }

        server.Forget(play);
        return play;
    }

    private static async Task PlayAsync(HostileServer server, HostilePlay play, PeerSide peer)
    {
        await peer.ConnectAsync(server.EndPointOf(play));
        var closed = CloseAsync(play);
        await peer.RunAsync(closed);
        play.Result = await closed;
        if (play is { Saw: PeerSaw.Eof, HasHalfClosed: false, Result.Outcome: CloseOutcome.Aborted })
        {
            await peer.LookForResetAsync();
        }

        await play.Handled;
        await play.Background;
    }

    // A handler that waits for its peer, while that one waits for its end, is asked to close.
    private static async Task<CloseResult> CloseAsync(HostilePlay play)
    {
        var close = await play.Served;
        await Task.WhenAny(play.Handled, Task.Delay(play.Script.RequestCloseAfter));
        close.RequestClose();
        return await close.Closed;
    }
}
