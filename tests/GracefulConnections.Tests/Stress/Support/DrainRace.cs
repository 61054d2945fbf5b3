using System.Collections.Concurrent;
using System.Numerics;
using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>The same steps on three threads at once: the connections' own, those of the part that drains, and the host's with its clock. What must be true in the end is checked in the end.</summary>
internal sealed class DrainRace : IDisposable
{
    private const int MostConnections = 60;

    private readonly SteppedTimeProvider _time = new();
    private readonly HookedLogger _logger = new();
    private readonly DrainCoordinator _coordinator;
    private readonly ConcurrentQueue<DrainMember> _members = new();
    private readonly ConcurrentQueue<Task<DrainReport>> _reports = new();

    private DrainRace(DrainScript script)
    {
        var options = new ServerDrainOptions { DrainTimeout = TimeSpan.FromSeconds(1), SpreadWindow = TimeSpan.FromMilliseconds(script.SpreadWindowMs) };
        _coordinator = new DrainCoordinator(new OptionsWrapper<ServerDrainOptions>(options), _logger, _time);
    }

    public static async Task RunAsync(DrainScript script)
    {
        using var race = new DrainRace(script);
        using var start = new Barrier(3);
        await Task.WhenAll(script.Steps.ToLookup(static step => ThreadOf(step.Act)) switch
        {
            var threads => Enumerable.Range(0, 3).Select(thread => Task.Run(() =>
            {
                start.SignalAndWait(StressRun.Limit);
                foreach (var step in threads[thread])
                {
                    race.Do(step);
                }
            })),
        }).InTimeAsync();
        await race.EndAsync();
    }

    public void Dispose()
    {
        _coordinator.Dispose();
        _logger.Dispose();
    }

    private static int ThreadOf(DrainAct act) => act switch
    {
        DrainAct.Accept or DrainAct.End => 0,
        DrainAct.RequestByServer or DrainAct.DrainPart or DrainAct.DrainLive => 1,
        _ => 2,
    };

    private void Do(DrainStep step)
    {
        switch (step.Act)
        {
            case DrainAct.Accept when _members.Count < MostConnections:
                Accept(step.Amount);
                break;
            case DrainAct.End when Pick(step.Amount) is { } connection:
                connection.End();
                break;
            case DrainAct.RequestByServer when Pick(step.Amount) is { } connection:
                _coordinator.OnServerRequest(connection);
                break;
            case DrainAct.DrainPart:
                _reports.Enqueue(_coordinator.DrainAsync(info => (step.Amount >> (int.Parse(info.ConnectionId) % 6) & 1) == 1));
                break;
            case DrainAct.DrainLive:
                _reports.Enqueue(_coordinator.DrainAsync());
                break;
            case DrainAct.AnnounceStop:
                Announce();
                break;
            case DrainAct.StopServer:
                Announce();
                _coordinator.Registry.OnServerStopping();
                break;
            case DrainAct.BeginStop:
                Announce();
                _coordinator.Registry.OnServerStopping();
                _coordinator.BeginDraining(CloseReason.HostStopping);
                break;
            case DrainAct.AbortNow:
                _coordinator.AbortNow();
                break;
            case DrainAct.Advance:
                _time.Advance(TimeSpan.FromMilliseconds(step.Amount));
                break;
            default:
                break;
        }
    }

    private void Announce()
    {
        _coordinator.Context.BeginStop();
        _ = _coordinator.AnnounceAsync();
    }

    private FakeTrackedConnection? Pick(int amount) => _members.ToArray() is { Length: > 0 } members ? members[amount % members.Length].Connection : null;

    private void Accept(int kind)
    {
        var index = _members.Count;
        var connection = new FakeTrackedConnection(_coordinator, _time, $"{index}")
        {
            Busy = (kind & DrainScript.Busy) != 0,
            EndsWhenAsked = (kind & DrainScript.EndsWhenAsked) != 0,
            IgnoresAbort = (kind & DrainScript.IgnoresAbort) != 0,
        };
        var member = new DrainMember(connection, index);
        connection.DiscardedBytes = member.Bit;
        _members.Enqueue(member);
        _coordinator.Registry.Add(connection);
    }

    private async Task EndAsync()
    {
        Announce();
        _coordinator.Registry.OnServerStopping();
        var waiting = _coordinator.WaitAsync();
        BrokenInvariantException.ThrowIf(_coordinator.Phase < DrainPhase.Draining, $"the host stops, and the phase is {_coordinator.Phase}");
        _reports.Enqueue(_coordinator.DrainAsync());

        // Twice the time, as the drain that began on the thread pool may see the clock only later; once more for each, as it may be armed only then.
        await StressRun.UntilAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(1));
                return waiting.IsCompleted && _reports.All(static report => report.IsCompleted) && _coordinator.ConnectionCount == 0;
            },
            "the end of all drains");
        await waiting;
        BrokenInvariantException.ThrowIf(_coordinator.Phase != DrainPhase.Drained, $"all have ended, and the phase is {_coordinator.Phase}");
        foreach (var member in _members)
        {
            BrokenInvariantException.ThrowIf(!member.Connection.HasEnded, $"{member.Connection.Id} was missed");
        }

        foreach (var task in _reports)
        {
            Check(await task);
        }

        await StressRun.UntilAsync(() => _logger.Count("DrainStarted") == _logger.Count("DrainEnded"), "every drain ends once");
        BrokenInvariantException.ThrowIf(_time.ArmedCount > 0, $"{_time.ArmedCount} timers are left at the end");
    }

    private static void Check(DrainReport report)
    {
        BrokenInvariantException.ThrowIf(report.Outcomes.Values.Sum() != report.ConnectionCount, $"not every connection was counted once: {report}");

        // One that joins at the very end of the grace has no result yet, and so no bytes.
        var counted = BitOperations.PopCount((ulong)report.DiscardedBytes);
        BrokenInvariantException.ThrowIf(
            counted > report.ConnectionCount || counted < report.ConnectionCount - report.UnendedHandlerCount,
            $"a connection was missed or counted twice: {report.DiscardedBytes:x} of {report.ConnectionCount}");
        BrokenInvariantException.ThrowIf(report.UnendedHandlerCount > report.ConnectionCount, $"more handlers than connections: {report}");
    }
}
