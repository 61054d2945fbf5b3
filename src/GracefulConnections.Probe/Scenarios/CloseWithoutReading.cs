using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A peer asks and closes before it has read anything.</summary>
internal sealed class CloseWithoutReading() : Scenario(new ScenarioInfo(
    "2.3",
    "close-without-reading",
    "Sends requests, reads nothing and closes.",
    "The server goes on to serve others.",
    "RFC 1122 4.2.2.13",
    "A server that writes to such a peer gets EPIPE or SIGPIPE. The latter ends a process that did not expect it."))
{
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(100);

    public override bool RunsAlone => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        await using (var connection = await context.ConnectAsync(cancellationToken))
        {
            var send = connection.SendAsync(context.CreateLoad(withEnding: true).Bytes, cancellationToken);
            await context.DelayAsync(Moment, cancellationToken);
            connection.CloseAtOnce();
            await send;
        }

        return await context.CheckServingAsync("the probe closed with replies unread", cancellationToken);
    }
}
