using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A peer ends in the middle of a message.</summary>
internal sealed class HalfRequest() : Scenario(new ScenarioInfo(
    "3.4",
    "half-request",
    "Sends half a request, then FIN.",
    "No reply, or one that refuses; then the end.",
    "RFC 9293 3.6, RFC 9112 8",
    "A reader that takes the end of the stream for the end of a message executes half of it: DELETE /a of DELETE /ab."))
{
    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (context.Profile.HalfBytes is not { } half)
        {
            return Finding.Skip(HalfMessage.NoHalfReason);
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        await connection.SendAsync(context.Profile.Request.AsMemory(0, half), cancellationToken);
        await connection.SendFinAsync();
        await connection.ReadToEndAsync(cancellationToken, silence: Limits.LateRelease);
        return HalfMessage.Judge(connection, context.Profile, $"half a request ({half} bytes) and FIN");
    }
}
