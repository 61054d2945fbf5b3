using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The server says by TLS that its direction is complete.</summary>
internal sealed class TlsCloseNotify() : Scenario(new ScenarioInfo(
    "4.1",
    "tls-close-notify",
    "Asks for replies and for the end (by close_notify and FIN, where no message ends the connection).",
    "Every reply, then close_notify, then FIN.",
    "RFC 8446 6.1",
    "Without close_notify, a peer cannot tell a complete reply from one that an attacker cut."))
{
    public override bool NeedsTls => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        await using var connection = await context.ConnectAsync(cancellationToken);
        var load = context.CreateLoad(requests: context.Calibration.IsOneShot ? 0 : 1, withEnding: true);
        await connection.SendAsync(load.Bytes, cancellationToken);
        await connection.ReadToAsync(load.ReplyBytes, cancellationToken);
        if (!context.Calibration.EndsItself)
        {
            await connection.SendFinAsync();
        }

        var waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        return EndJudge.Judge(connection, load, context.Profile, waited);
    }
}
