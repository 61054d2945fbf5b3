using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A peer does not read at all for a while.</summary>
internal sealed class ClosedWindow() : Scenario(new ScenarioInfo(
    "3.2",
    "closed-window",
    "Sends requests, reads nothing for 8 s, so that its window closes, and then everything. Then asks once more.",
    "Every reply, in the pause none is lost, and the connection goes on.",
    "RFC 9293 3.8.6.1",
    "A peer that is suspended, or waits for somebody else, comes back. Zero-window probes keep the connection alive."))
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(8);

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        await using var connection = await context.ConnectAsync(cancellationToken);
        var load = context.CreateLoad(withEnding: false);
        var send = connection.SendAsync(load.Bytes, cancellationToken);
        context.Timeline.Note("The probe reads nothing for 8 s.");
        await context.DelayAsync(Pause, cancellationToken);
        await connection.ReadToAsync(load.ReplyBytes, cancellationToken);
        var isComplete = connection.ReceivedBytes >= load.ReplyBytes && await send;
        if (!isComplete || context.Calibration.IsOneShot || connection.End != ServerEnd.None)
        {
            // Also the replies that are all there but shorter than the calibration's are judged by their form.
            await connection.ReadToEndAsync(cancellationToken);
            return context.Judge(connection, load);
        }

        var goesOn = await context.ExchangeAsync(connection, cancellationToken);
        await connection.SendFinAsync();
        var more = context.CreateLoad(load.Requests + 1, withEnding: false);
        var waited = await context.ReadToEndAsync(connection, more, cancellationToken);
        var finding = EndJudge.Judge(connection, more, context.Profile, waited);
        return finding.Verdict == Verdict.Pass && !goesOn
            ? Finding.Unsure(finding.Seen, "The request behind the pause was not answered.")
            : finding;
    }
}
