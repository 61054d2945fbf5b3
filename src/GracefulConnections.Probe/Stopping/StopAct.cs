using System.Diagnostics;
using System.Net.Sockets;
using GracefulConnections.Probe.Commands;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Stopping;

/// <summary>Stops or restarts the server once, with peers of every kind, and judges what each of them saw.</summary>
internal sealed class StopAct(StopKind kind, StopAction action, Func<ScenarioContext> newContext, TimeProvider time)
{
    private static readonly TimeSpan Settling = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(50);

    /// <summary>Runs it.</summary>
    /// <exception cref="ProbeFailedException">The stop could not be begun.</exception>
    public async Task<IReadOnlyList<StopPartFinding>> RunAsync(CancellationToken cancellationToken)
    {
        var peers = StopParts.Of(kind).Select(part => (Part: part, Context: newContext())).ToList();
        var stop = new StopMoment(time);
        var acting = peers.Select(peer => Create(peer.Part, peer.Context, stop)).ToList();
        try
        {
            foreach (var one in acting)
            {
                await (one?.StartAsync(cancellationToken) ?? Task.CompletedTask);
            }

            await Task.Delay(Settling, time, cancellationToken);
            stop.Begin();
            using var command = action.Begin();
            var finishing = acting.Select(one => one?.FinishAsync(cancellationToken)).ToList();

            // An exit is timed from the beginning. A restart has served again when peers were served for a while.
            var watching = kind == StopKind.Stop
                ? WatchServerAsync(stop, peers[^1].Context, command, cancellationToken)
                : null;
            var results = new List<StopPartFinding>();
            for (var i = 0; i < peers.Count; i++)
            {
                var (part, context) = peers[i];
                var finding = await (part.Peer == StopPeer.Server
                    ? watching ?? WatchServerAsync(stop, context, command, cancellationToken)
                    : finishing[i] ?? Task.FromResult(Finding.Skip(HalfMessage.NoHalfReason)));
                results.Add(
                    new StopPartFinding(part, finding, context.Timeline.ToEvents(), stop.Elapsed.TotalMilliseconds));
            }

            return results;
        }
        finally
        {
            foreach (var one in acting)
            {
                await (one?.DisposeAsync() ?? ValueTask.CompletedTask);
            }
        }
    }

    private IStopPeers? Create(StopPart part, ScenarioContext context, StopMoment stop) => part.Peer switch
    {
        StopPeer.Idle => new IdlePeers(context),
        StopPeer.Busy => new BusyPeers(context),
        StopPeer.Asking => new AskingPeers(context, stop),
        StopPeer.HalfWay when context.Profile.HalfBytes is not null => new HalfWayPeers(context),
        StopPeer.Connecting => new ConnectingPeers(context, kind, stop),
        _ => null,
    };

    private async Task<Finding> WatchServerAsync(
        StopMoment stop, ScenarioContext context, Process? command, CancellationToken cancellationToken)
    {
        if (kind == StopKind.Stop && command is { HasExited: true, ExitCode: not 0 })
        {
            return Finding.Unsure("unknown", $"The stop command ended with code {command.ExitCode}.");
        }

        while (stop.Elapsed < StopMoment.Longest)
        {
            if (await IsDoneAsync(context, cancellationToken))
            {
                var seconds = $"{stop.Elapsed.TotalSeconds:0.0} s";
                return stop.Elapsed > Limits.LateRelease
                    ? Finding.Fail(Fault.LateRelease, $"it took {seconds}")
                    : Finding.Pass(kind == StopKind.Stop
                        ? $"exited within {seconds}" : $"served again within {seconds}");
            }

            await Task.Delay(LookInterval, time, cancellationToken);
        }

        return kind == StopKind.Stop
            ? Finding.Fail(Fault.LateRelease, "the server still runs after 65 s")
            : Finding.Fail(Fault.Died, "nobody was served within 65 s of the restart");
    }

    private async Task<bool> IsDoneAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (kind == StopKind.Stop && action.Pid is { } pid)
        {
            return StopAction.HasExited(pid);
        }

        try
        {
            await using var connection = await context.ConnectAsync(cancellationToken);
            return kind == StopKind.Restart && await context.ExchangeAsync(connection, cancellationToken);
        }
        catch (Exception exception) when (exception is SocketException or TlsFailedException)
        {
            return kind == StopKind.Stop; // Without --pid, "nobody listens" is all that can be seen of an exit.
        }
    }
}
