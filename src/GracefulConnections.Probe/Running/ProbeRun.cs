using System.Net.Sockets;
using GracefulConnections.Probe.Commands;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Stopping;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Running;

/// <summary>One run: calibrates, runs the scenarios, then restarts and stops the server if it is to.</summary>
internal sealed class ProbeRun(RunOptions options, IRunObserver observer, TimeProvider time)
{
    private const int RefusalsThatProve = 3;
    private static readonly TimeSpan RefusalPause = TimeSpan.FromMilliseconds(300);

    private readonly ConnectionSettings _settings = new(options.Target, options.Tls, options.Patience, time);
    private readonly Lock _lock = new();
    private readonly List<ScenarioResult> _results = [];

    /// <summary>Runs everything.</summary>
    /// <exception cref="ProbeFailedException">The server cannot be reached, or does not speak the profile.</exception>
    public async Task<RunReport> RunAsync(CancellationToken cancellationToken)
    {
        var startedAt = time.GetUtcNow();
        var began = time.GetTimestamp();
        var (calibration, profile) = await new Calibrator(_settings, options.Profile).RunAsync(cancellationToken);
        var scenarios = Catalog.Scenarios.Where(scenario => IsWanted(scenario)).ToList();
        var alone = scenarios.Where(scenario => scenario.RunsAlone || options.IsSerial).ToList();
        await Task.WhenAll(scenarios.Except(alone).Select(RunScenarioAsync));
        foreach (var scenario in alone)
        {
            await RunScenarioAsync(scenario);
        }

        await RunStopAsync(StopKind.Restart, options.Restart, NewContext, cancellationToken);
        await RunStopAsync(StopKind.Stop, options.Stop, NewContext, cancellationToken);
        var order = Catalog.Infos.Select(info => info.Name).ToList();
        return new RunReport(
            options.Target.ToString(), profile.Name, calibration.Tls, startedAt,
            time.GetElapsedTime(began).TotalMilliseconds, [.. _results.OrderBy(result => order.IndexOf(result.Name))]);

        ScenarioContext NewContext() => new(_settings, profile, calibration, options.IdleConnections);

        async Task RunScenarioAsync(Scenario scenario)
        {
            var context = NewContext();
            observer.OnStarted(scenario.Info.Name);
            var finding = await FindAsync(scenario, context, cancellationToken);
            Add(scenario.Info, finding, context.Timeline.ElapsedMs, context.Timeline.ToEvents());
        }
    }

    private static async Task<Finding> FindAsync(
        Scenario scenario, ScenarioContext context, CancellationToken cancellationToken)
    {
        try
        {
            return await scenario.RunAsync(context, cancellationToken);
        }
        catch (Exception exception) when (exception is SocketException or TlsFailedException)
        {
            return await IsGoneAsync(context, exception, cancellationToken)
                ? Finding.Fail(Fault.Died, "connects are refused", "Nobody listens any more, and somebody did before.")
                : Finding.Unsure("no connection", $"A connection could not be made: {exception.Message}");
        }
    }

    // Some systems refuse a connect when the listening socket's queue is full, so one is no proof. A reset is what a
    // connect gets that was in the queue of a socket that was closed: whether it was, the next one tells.
    private static async Task<bool> IsGoneAsync(
        ScenarioContext context, Exception exception, CancellationToken cancellationToken)
    {
        for (var tries = 0; tries < RefusalsThatProve; tries++)
        {
            var mayBeGone = exception is SocketException { SocketErrorCode: SocketError.ConnectionRefused }
                || (tries == 0 && exception is SocketException { SocketErrorCode: SocketError.ConnectionReset });
            if (!mayBeGone)
            {
                return false;
            }

            await context.DelayAsync(RefusalPause, cancellationToken);
            try
            {
                await using var connection = await context.ConnectAsync(cancellationToken);
                return false;
            }
            catch (SocketException again)
            {
                exception = again;
            }
            catch (TlsFailedException)
            {
                return false; // Somebody listens.
            }
        }

        return true;
    }

    private bool IsWanted(Scenario scenario) =>
        IsWanted(scenario.Info) && (options.Tls is not null || !scenario.NeedsTls);

    private bool IsWanted(ScenarioInfo info) => options.Only.Count == 0 || options.Only.Contains(info.Name);

    private async Task RunStopAsync(
        StopKind kind, StopAction? action, Func<ScenarioContext> newContext, CancellationToken cancellationToken)
    {
        if (action is null || !StopParts.Of(kind).Any(part => IsWanted(part.Info)))
        {
            return;
        }

        observer.OnStarted(kind == StopKind.Restart ? "restart" : "stop");
        try
        {
            foreach (var result in await new StopAct(kind, action, newContext, time).RunAsync(cancellationToken))
            {
                if (IsWanted(result.Part.Info))
                {
                    Add(result.Part.Info, result.Finding, result.Ms, result.Events);
                }
            }
        }
        catch (Exception exception) when (exception is SocketException or TlsFailedException)
        {
            var reason = $"Nobody was served before the stop: {exception.Message}";
            foreach (var info in StopParts.Of(kind).Select(part => part.Info).Where(IsWanted))
            {
                Add(info, Finding.Unsure("no connection", reason), ms: 0, events: []);
            }
        }
    }

    private void Add(ScenarioInfo info, Finding finding, double ms, IReadOnlyList<WireEvent> events)
    {
        var result = new ScenarioResult
        {
            Section = info.Section,
            Name = info.Name,
            Verdict = finding.Verdict,
            Fault = finding.Fault,
            LostBytes = finding.LostBytes,
            Expected = info.Expected,
            Seen = finding.Seen,
            Reason = finding.Reason,
            Reference = info.Reference,
            Ms = ms,
            Events = events,
        };
        lock (_lock)
        {
            _results.Add(result);
        }

        observer.OnFinished(result);
    }
}
