using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The peer says by TLS that it is done, and leaves the TCP stream open.</summary>
internal sealed class TlsAnswer() : Scenario(new ScenarioInfo(
    "4.2",
    "tls-answer",
    "Asks once, reads the reply, sends close_notify and no FIN.",
    "close_notify, then FIN, within 60 s.",
    "RFC 8446 6.1",
    "A server that waits for FIN as well holds the connection of every peer that waits for the server's answer."))
{
    public override bool NeedsTls => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (context.Calibration.IsOneShot)
        {
            return Finding.Skip("The server ends the connection behind every request, so it always is the first.");
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        await context.ExchangeAsync(connection, cancellationToken);
        await connection.SendCloseNotifyAsync();
        var load = context.CreateLoad(requests: 1, withEnding: false);
        await connection.ReadToEndAsync(cancellationToken, silence: Limits.LateRelease);
        if (connection.End == ServerEnd.None && connection.SawCloseNotify)
        {
            return Finding.Fail(Fault.LateRelease, "close_notify, and no FIN within 60 s");
        }

        return EndJudge.Judge(connection, load, context.Profile, Limits.LateRelease);
    }
}
