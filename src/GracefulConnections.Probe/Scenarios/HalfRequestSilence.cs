using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A peer pauses in the middle of a message.</summary>
internal sealed class HalfRequestSilence() : Scenario(new ScenarioInfo(
    "3.5",
    "half-request-silence",
    "Sends half a request, is silent for 3 s, and sends the other half.",
    "Nothing in the pause but an end, and then the reply to the whole message.",
    "RFC 9293 3.8",
    "TCP keeps no message boundaries. A pause is not one either."))
{
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(3);

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (context.Profile.HalfBytes is not { } half)
        {
            return Finding.Skip(HalfMessage.NoHalfReason);
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        await connection.SendAsync(context.Profile.Request.AsMemory(0, half), cancellationToken);
        await connection.ReadToEndAsync(cancellationToken, silence: Silence);
        if (connection.ReceivedBytes > 0)
        {
            return HalfMessage.Judge(connection, context.Profile, $"half a request ({half} bytes) and 3 s of silence");
        }

        if (connection.End != ServerEnd.None)
        {
            return Finding.Pass($"nothing, then {EndJudge.DescribeEnd(connection)}",
                "The server does not wait for the other half.");
        }

        await connection.SendAsync(context.Profile.Request.AsMemory(half), cancellationToken);
        var load = context.CreateLoad(requests: 1, withEnding: false);
        await connection.ReadToAsync(load.ReplyBytes, cancellationToken);
        await connection.SendFinAsync();
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        return EndJudge.Judge(connection, load, context.Profile, waited);
    }
}
