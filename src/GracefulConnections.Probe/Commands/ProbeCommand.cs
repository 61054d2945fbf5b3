using System.CommandLine;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Reports;
using GracefulConnections.Probe.Running;

namespace GracefulConnections.Probe.Commands;

/// <summary>The command line: reads it, runs what it asks for, and turns every outcome into an exit code.</summary>
internal static class ProbeCommand
{
    /// <summary>Runs the program.</summary>
    /// <returns>The exit code, see <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(string[] args, TextWriter output, TextWriter error)
    {
        var options = new CommandLineOptions();
        var run = new Command("run", "Probes a server and grades how it ends connections.") { options.Target };
        options.RunOptions.ForEach(run.Options.Add);
        var root = new RootCommand("Judges how a TCP server ends its connections.") { run };
        root.Options.Add(options.List);
        root.Options.Add(options.Explain);
        run.SetAction((parsed, cancellationToken) => RunAsync(parsed, options, output, error, cancellationToken));
        root.SetAction((parsed, _) => Task.FromResult(Tell(parsed, options, output)
            ?? throw new ProbeFailedException(ExitCode.Usage,
                "Nothing to do. Say what to probe: graceful-probe run HOST:PORT.")));
        var result = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null }); // @FILE is --send's.
        if (result.Errors.Count > 0)
        {
            foreach (var problem in result.Errors)
            {
                error.WriteLine(problem.Message);
            }

            return ExitCode.Usage;
        }

        try
        {
            return await result.InvokeAsync(
                new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false });
        }
        catch (ProbeFailedException exception)
        {
            error.WriteLine(exception.Message);
            return exception.ExitCode;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("Interrupted. There is no grade.");
            return ExitCode.Unreachable;
        }
    }

    private static async Task<int> RunAsync(
        ParseResult parsed, CommandLineOptions options, TextWriter output, TextWriter error,
            CancellationToken cancellationToken)
    {
        if (Tell(parsed, options, output) is { } told)
        {
            return told;
        }

        var reader = new RunOptionsReader(parsed, options);
        var run = await reader.ReadAsync(cancellationToken);
        var failOn = reader.ReadFailOn();
        var files = reader.ReadReportFiles();
        using var progress = new ProgressLine(error, isLive: !Console.IsErrorRedirected && error == Console.Error);
        var report = await new ProbeRun(run, progress, TimeProvider.System).RunAsync(cancellationToken);
        progress.Clear();
        files.Write(report, output);
        return Exit(report, failOn, run, error);
    }

    private static int Exit(RunReport report, FailOn failOn, RunOptions run, TextWriter error)
    {
        if (report.Scenarios.Count > 0 && report.Grade is null &&
            report.Scenarios.Any(one => one.Verdict == Verdict.Error))
        {
            error.WriteLine($"{run.Target} could be judged in no scenario. The reasons stand in the report.");
            return ExitCode.Unreachable;
        }

        return failOn.IsMet(report) ? ExitCode.Failed : ExitCode.NothingFailed;
    }

    private static int? Tell(ParseResult parsed, CommandLineOptions options, TextWriter output)
    {
        if (parsed.GetValue(options.List))
        {
            ScenarioText.WriteList(output);
            return ExitCode.NothingFailed;
        }

        if (parsed.GetValue(options.Explain) is { } name)
        {
            ScenarioText.WriteExplanation(output, RunOptionsReader.FindScenario(name, "--explain"));
            return ExitCode.NothingFailed;
        }

        return null;
    }
}
