using System.Globalization;
using GracefulConnections;

namespace TcpProxy;

/// <summary>Shows the counters: as one live line on a terminal, else in the log whenever they have changed.</summary>
internal sealed partial class CounterLine(RelayCounters counters, Settings settings, TimeProvider time, ILogger<CounterLine> logger) : BackgroundService
{
    private static readonly TimeSpan LiveInterval = TimeSpan.FromSeconds(1);

    private readonly bool _isTerminal = !Console.IsOutputRedirected;

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(_isTerminal ? LiveInterval : settings.ReportInterval, time);
        var shown = "";
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            shown = Show(shown);
        }
    }

    private string Show(string shown)
    {
        var values = string.Create(
            CultureInfo.InvariantCulture,
            $"{counters.Active:N0} connections now, {counters.Total:N0} in total; {counters.BytesToUpstream:N0} bytes to the upstream, {counters.BytesFromUpstream:N0} back; {counters.Resets:N0} resets");
        if (_isTerminal)
        {
            ShowLive(values);
        }
        else if (values != shown)
        {
            Log.Counted(logger, values);
        }

        return values;
    }

    // The cursor goes back to the beginning, so the next line of the log, or the next one of these, takes its place. One that wraps could not be taken back.
    private static void ShowLive(string line)
    {
        const string ClearLine = "\e[2K";
        var width = Console.WindowWidth - 1; // Negative where the terminal does not tell.
        Console.Write($"{ClearLine}{(width < 0 || line.Length <= width ? line : line[..width])}\r");
    }

    private static partial class Log
    {
        [LoggerMessage(1, LogLevel.Information, "{Counters}.", EventName = nameof(Counted))]
        public static partial void Counted(ILogger logger, string counters);
    }
}
