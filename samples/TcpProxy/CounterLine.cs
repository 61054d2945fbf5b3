using System.Globalization;
using GracefulConnections;

namespace TcpProxy;

/// <summary>Logs the counters whenever they have changed.</summary>
internal sealed partial class CounterLine(RelayCounters counters, Settings settings, TimeProvider time, ILogger<CounterLine> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(settings.ReportInterval, time);
        for (var shown = ""; await timer.WaitForNextTickAsync(stoppingToken);)
        {
            var values = string.Create(
                CultureInfo.InvariantCulture,
                $"{counters.Active:N0} connections now, {counters.Total:N0} in total; {counters.BytesToUpstream:N0} bytes to the upstream, {counters.BytesFromUpstream:N0} back; {counters.Resets:N0} resets");
            if (values != shown)
            {
                Counted(logger, shown = values);
            }
        }
    }

    [LoggerMessage(1, LogLevel.Information, "{Counters}.")]
    private static partial void Counted(ILogger logger, string counters);
}
