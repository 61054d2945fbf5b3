using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The peer has asked everything, says so by TLS, and waits.</summary>
internal sealed class TlsHalfClose() : Scenario(new ScenarioInfo(
    "4.3",
    "tls-half-close",
    "Sends requests, then close_notify and no FIN, and reads slowly.",
    "Every reply, then close_notify, then FIN.",
    "RFC 8446 6.1",
    "Since TLS 1.3, close_notify ends one direction only. The replies are still owed."))
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);

    public override bool NeedsTls => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (context.Calibration.Tls != "Tls13")
        {
            return Finding.Skip(
                "Before TLS 1.3, a server had to close at once when close_notify came (RFC 5246, section 7.2.1).");
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        var load = context.CreateLoad(withEnding: false);
        var send = SendAllAsync();
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken, Pace);
        await connection.DisposeAsync();
        await send;
        return EndJudge.Judge(connection, load, context.Profile, waited);

        async Task SendAllAsync()
        {
            if (await connection.SendAsync(load.Bytes, cancellationToken))
            {
                await connection.SendCloseNotifyAsync();
            }
        }
    }
}
