using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The stream ends in the middle of a message, and TLS does not say so.</summary>
internal sealed class TlsTruncation() : Scenario(new ScenarioInfo(
    "4.4",
    "tls-truncation",
    "Sends half a request, then FIN without close_notify, as an attacker can.",
    "No reply, or one that refuses; then the end.",
    "RFC 8446 6.1",
    "Whoever can send a FIN could choose where a message ends, although it is encrypted."))
{
    public override bool NeedsTls => true;

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (context.Profile.HalfBytes is not { } half)
        {
            return Finding.Skip(HalfMessage.NoHalfReason);
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        await connection.SendAsync(context.Profile.Request.AsMemory(0, half), cancellationToken);
        connection.SendTcpFin();
        await connection.ReadToEndAsync(cancellationToken, silence: Limits.LateRelease);
        return HalfMessage.Judge(connection, context.Profile, $"half a request ({half} bytes) and a cut stream");
    }
}
