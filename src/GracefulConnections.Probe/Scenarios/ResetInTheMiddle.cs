using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>Peers reset their connections at bad moments.</summary>
internal sealed class ResetInTheMiddle() : Scenario(new ScenarioInfo(
    "2.2",
    "reset-in-the-middle",
    "Resets one connection in the middle of a request, and one in the middle of the replies.",
    "The server goes on to serve others.",
    "RFC 9293 3.5.3",
    "A peer's crash must not be the server's."))
{
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(100);

    public override bool RunsAlone => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        await using (var asking = await context.ConnectAsync(cancellationToken))
        {
            var half = context.Profile.HalfBytes ?? context.Profile.Request.Length;
            await asking.SendAsync(context.Profile.Request.AsMemory(0, half), cancellationToken);
            await context.DelayAsync(Moment, cancellationToken);
            asking.Reset();
        }

        await using (var answered = await context.ConnectAsync(cancellationToken))
        {
            var send = answered.SendAsync(context.CreateLoad(withEnding: false).Bytes, cancellationToken);
            await context.DelayAsync(Moment, cancellationToken);
            answered.Reset();
            await send;
        }

        return await context.CheckServingAsync("two connections were reset by the probe", cancellationToken);
    }
}
