using GracefulConnections.Draining;
using GracefulConnections.Tests.Support;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests.Stress.Support;

/// <summary>
/// A coordinator, its connections and a clock, one step at a time; some steps fall into the midst of another, wherever the coordinator has let go of its lock. Keeps its own books of who
/// belongs to which drain, and compares.
/// </summary>
internal sealed class DrainModel : IDisposable
{
    private const int MostConnections = 60; // Each has a bit of its own.

    private static readonly TimeSpan DrainTimeout = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan Gathering = TimeSpan.FromMilliseconds(20);

    // The schedule looks every 10 ms, and timers have whole milliseconds.
    private static readonly TimeSpan SpreadSlack = TimeSpan.FromMilliseconds(11);

    private readonly DrainScript _script;
    private readonly SteppedTimeProvider _time = new();
    private readonly HookedLogger _logger;
    private readonly DrainCoordinator _coordinator;
    private readonly List<DrainMember> _members = [];
    private readonly List<ModelDrain> _parts = [];
    private readonly Queue<DrainStep> _within = new();
    private readonly TimeSpan _window;
    private ModelDrain? _whole;
    private DrainPhase _lastPhase;
    private int _sequence;
    private int _moment;
    private bool _inHook;
    private bool _wholeIsOver;
    private bool _announced;
    private bool _hostStops;
    private bool _serverStops;
    private bool _abortNow;

    private DrainModel(DrainScript script)
    {
        _script = script;
        _window = TimeSpan.FromMilliseconds(script.SpreadWindowMs);
        _logger = new HookedLogger(OnHook);
        var options = new ServerDrainOptions { DrainTimeout = DrainTimeout, SpreadWindow = _window, ReportInterval = TimeSpan.FromMilliseconds(250) };
        _coordinator = new DrainCoordinator(new OptionsWrapper<ServerDrainOptions>(options), _logger, _time);
    }

    private TimeSpan Now => _time.Now;

    private TimeSpan Timeout => _abortNow ? TimeSpan.Zero : DrainTimeout;

    private IEnumerable<DrainMember> Present => _members.Where(static member => !member.HasEnded);

    public static async Task RunAsync(DrainScript script)
    {
        using var model = new DrainModel(script);
        foreach (var step in script.Steps)
        {
            await model.TakeAsync(step);
        }

        await model.EndAsync();
    }

    public void Dispose()
    {
        _coordinator.Dispose();
        _logger.Dispose();
    }

    private async ValueTask TakeAsync(DrainStep step)
    {
        if (step.Within > 0)
        {
            _within.Enqueue(step);
            return;
        }

        _moment = 0;
        Do(step);
        await SettleAsync();
        while (_within.TryDequeue(out var left))
        {
            Do(left);
            await SettleAsync();
        }
    }

    private void OnHook()
    {
        Observe();
        if (!_inHook && _within.TryPeek(out var step) && ++_moment >= step.Within)
        {
            _within.Dequeue();
            _inHook = true;
            Do(step);
            _inHook = false;
        }
    }

    private void Do(DrainStep step)
    {
        switch (step.Act)
        {
            case DrainAct.Accept when _members.Count < MostConnections:
                Accept(step.Amount);
                break;
            case DrainAct.End when Pick(step.Amount) is { } member:
                member.Connection.End();
                break;
            case DrainAct.RequestByServer when Pick(step.Amount) is { } member:
                RequestByServer(member);
                break;
            case DrainAct.DrainPart:
                DrainPart(step.Amount);
                break;
            case DrainAct.DrainLive when Announce():
                Begin(() => _coordinator.BeginDraining(CloseReason.Drain)); // What DrainAsync does on the thread pool.
                break;
            case DrainAct.AnnounceStop:
                AnnounceStop();
                break;
            case DrainAct.StopServer when AnnounceStop():
                StopServer();
                break;
            case DrainAct.BeginStop when AnnounceStop():
                StopServer();
                Begin(() => _coordinator.BeginDraining(CloseReason.HostStopping));
                break;
            case DrainAct.AbortNow:
                AbortNow();
                break;
            case DrainAct.Advance:
                _time.Advance(TimeSpan.FromMilliseconds(step.Amount));
                break;
            default:
                break;
        }
    }

    private DrainMember? Pick(int amount) => Present.ToArray() is { Length: > 0 } present ? present[amount % present.Length] : null;

    private void Accept(int kind)
    {
        var index = _members.Count;
        var connection = new FakeTrackedConnection(_coordinator, _time, $"{index}")
        {
            Busy = (kind & DrainScript.Busy) != 0,
            EndsWhenAsked = (kind & DrainScript.EndsWhenAsked) != 0,
            IgnoresAbort = (kind & DrainScript.IgnoresAbort) != 0,
            Looked = OnHook,
            Snapped = OnHook,
            Asking = OnHook,
            Aborting = OnHook,
        };
        var member = new DrainMember(connection, index);
        connection.DiscardedBytes = member.Bit;
        connection.Ending = () =>
        {
            member.EndedSequence = ++_sequence;
            member.EndedAt = Now;
        };
        _members.Add(member);
        if (_whole is not null)
        {
            member.ExpectAsk(Now);
            if (_wholeIsOver)
            {
                member.ExpectAbort(Now, Now + Timeout); // With others that came late, whose time began before.
            }
            else
            {
                _whole.Members.Add(member);
                var abortAt = Latest(_whole.AbortAt, Now);
                member.ExpectAbort(abortAt, abortAt);
            }
        }

        _coordinator.Registry.Add(connection);
    }

    private void RequestByServer(DrainMember member)
    {
        if (_whole is null && _serverStops)
        {
            Begin(() => _coordinator.OnServerRequest(member.Connection));
            return;
        }

        if (_whole is null)
        {
            member.ExpectAsk(Now + Gathering + _window + SpreadSlack);
            member.ExpectAbort(Now + Timeout, Now + Gathering + Timeout);
        }

        _coordinator.OnServerRequest(member.Connection);
    }

    private void DrainPart(int mask)
    {
        var part = new ModelDrain(Now + Timeout);
        _parts.Add(part);
        var chosen = new List<DrainMember>();
        var chosenAt = 0;
        part.Report = _coordinator.DrainAsync(info =>
        {
            chosenAt = ++_sequence;
            var index = int.Parse(info.ConnectionId);
            var fits = (mask >> (index % 6) & 1) == 1;
            if (fits)
            {
                chosen.Add(_members[index]);
            }

            return fits;
        });
        foreach (var member in chosen.Where(member => !member.HasEnded || member.EndedSequence > chosenAt))
        {
            part.Members.Add(member);
            member.ExpectAsk(Now + _window + SpreadSlack);
            member.ExpectAbort(part.AbortAt, part.AbortAt);
        }
    }

    /// <returns>Whether the announcement is over: one in the midst of which this came would have to be awaited.</returns>
    private bool Announce()
    {
        _announced = true;
        var announcing = _coordinator.AnnounceAsync();
        BrokenInvariantException.ThrowIf(!_inHook && !announcing.IsCompletedSuccessfully, "an announcement without a delay takes time");
        return announcing.IsCompletedSuccessfully;
    }

    private bool AnnounceStop()
    {
        _hostStops = true;
        _coordinator.Context.BeginStop();
        return Announce();
    }

    private void StopServer()
    {
        if (_wholeIsOver)
        {
            foreach (var member in Present)
            {
                member.ExpectAsk(Now);
                member.ExpectAbort(Now, Now + Timeout);
            }
        }

        _serverStops = true;
        _coordinator.Registry.OnServerStopping();
    }

    private void AbortNow()
    {
        _abortNow = true;
        foreach (var member in Present)
        {
            member.ExpectAbort(Now, Now);
        }

        foreach (var drain in _parts.Append(_whole).Where(drain => drain?.AbortAt > Now))
        {
            drain!.AbortAt = Now;
        }

        Begin(_coordinator.AbortNow);
    }

    private void Begin(Action begin)
    {
        if (_whole is null)
        {
            _whole = new ModelDrain(Now + Timeout);
            foreach (var member in Present)
            {
                _whole.Members.Add(member);
                member.ExpectAsk(Now + _window + SpreadSlack);
                member.ExpectAbort(_whole.AbortAt, _whole.AbortAt);
            }
        }

        begin();
    }

    private void Observe()
    {
        var phase = _coordinator.Phase;
        BrokenInvariantException.ThrowIf(phase < _lastPhase, $"the phase went back from {_lastPhase} to {phase}");
        _lastPhase = phase;
        if (phase == DrainPhase.Drained && !_wholeIsOver)
        {
            _wholeIsOver = true;
            BrokenInvariantException.ThrowIf(!_whole!.IsOver(Now), "the drain of the whole server ended early");
        }
    }

    private async ValueTask SettleAsync()
    {
        _time.Advance(TimeSpan.Zero); // What an abort woke.
        Observe();
        var phase = _whole switch
        {
            null => _announced ? DrainPhase.Announced : DrainPhase.Serving,
            _ when _wholeIsOver || _whole.IsOver(Now) => DrainPhase.Drained,
            _ => Now >= _whole.AbortAt ? DrainPhase.Aborting : DrainPhase.Draining,
        };
        BrokenInvariantException.ThrowIf(_lastPhase != phase, $"the phase is {_lastPhase} instead of {phase}");
        BrokenInvariantException.ThrowIf(_coordinator.ConnectionCount != Present.Count(), $"{Present.Count()} connections are present, and {_coordinator.ConnectionCount} counted");
        foreach (var member in _members)
        {
            Check(member);
        }

        if (_whole is not null)
        {
            _whole.Report ??= _wholeIsOver ? _coordinator.DrainAsync() : null;
            await _whole.CheckAsync(Now);
        }

        foreach (var part in _parts)
        {
            await part.CheckAsync(Now);
        }
    }

    private void Check(DrainMember member)
    {
        var connection = member.Connection;
        BrokenInvariantException.ThrowIf(connection.IsAsked && member.AskedBy == TimeSpan.MaxValue, $"{connection.Id} was asked for no reason");
        BrokenInvariantException.ThrowIf(
            connection.IsAborted && new TimeSpan(connection.AbortedAt) < member.AbortedFrom, $"{connection.Id} was aborted too early");
        BrokenInvariantException.ThrowIf(!_hostStops && connection.AbandonCount > 0, $"{connection.Id} was abandoned, and the host goes on");
        if (member.HasEnded)
        {
            return;
        }

        BrokenInvariantException.ThrowIf(Now >= member.AskedBy && !connection.IsAsked && !connection.IsAborted, $"{connection.Id} was missed: never asked");
        BrokenInvariantException.ThrowIf(Now >= member.AbortedBy && !connection.IsAborted, $"{connection.Id} was missed: never aborted");
    }

    private async ValueTask EndAsync()
    {
        await TakeAsync(new DrainStep(DrainAct.Advance, 2000, Within: 0));
        await TakeAsync(new DrainStep(DrainAct.BeginStop, 0, Within: 0));
        await TakeAsync(new DrainStep(DrainAct.Advance, 2000, Within: 0));
        BrokenInvariantException.ThrowIf(Present.Any(), $"{Present.Count()} connections are left at the end");
        await _coordinator.WaitAsync().InTimeAsync();
        BrokenInvariantException.ThrowIf(_logger.Count("DrainStarted") != _logger.Count("DrainEnded"), "not every drain ended, once");
        BrokenInvariantException.ThrowIf(_time.ArmedCount > 0, $"{_time.ArmedCount} timers are left at the end");
    }

    private static TimeSpan Latest(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
