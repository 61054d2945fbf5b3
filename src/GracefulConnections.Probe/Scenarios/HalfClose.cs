using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The peer has asked everything, says so by FIN, and waits.</summary>
internal sealed class HalfClose() : Scenario(new ScenarioInfo(
    "2.1",
    "half-close",
    "Sends requests, then FIN, and reads slowly.",
    "Every reply, then FIN.",
    "RFC 9293 3.6, RFC 1122 4.2.2.13",
    "FIN says that nothing more will be sent, not that nobody reads any more. nc -N and many scripts end so."))
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        await using var connection = await context.ConnectAsync(cancellationToken);
        var load = context.CreateLoad(withEnding: false);
        var send = SendThenFinAsync();
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken, Pace);
        await connection.DisposeAsync(); // Ends a send that the server does not read.
        await send;
        return EndJudge.Judge(connection, load, context.Profile, waited);

        async Task SendThenFinAsync()
        {
            if (await connection.SendAsync(load.Bytes, cancellationToken))
            {
                await connection.SendFinAsync();
            }
        }
    }
}
