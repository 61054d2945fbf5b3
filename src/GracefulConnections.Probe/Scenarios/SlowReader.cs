using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A peer reads for longer than usual timeouts allow.</summary>
internal sealed class SlowReader() : Scenario(new ScenarioInfo(
    "3.1",
    "slow-reader",
    "Asks for replies and for the end (by FIN, where no message ends the connection), " +
        "and reads for 12 s, a little at a time.",
    "Every reply, then FIN.",
    "RFC 9293 3.8.6",
    "A server that counts seconds from its close, and not from the last progress, cuts slow peers."))
{
    private const int Steps = 48;
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(250);

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        await using var connection = await context.ConnectAsync(cancellationToken);
        var load = context.CreateLoad(withEnding: true);
        var send = SendAllAsync();
        for (var step = 1; step <= Steps && connection.End == Wire.ServerEnd.None; step++)
        {
            await connection.ReadToAsync(load.ReplyBytes * step / Steps, cancellationToken);
            await context.DelayAsync(Step, cancellationToken);
        }

        var waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        await connection.DisposeAsync();
        await send;
        return EndJudge.Judge(connection, load, context.Profile, waited);

        async Task SendAllAsync()
        {
            if (await connection.SendAsync(load.Bytes, cancellationToken) && !context.Calibration.EndsItself)
            {
                await connection.SendFinAsync();
            }
        }
    }
}
