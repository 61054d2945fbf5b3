using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A peer sends an urgent byte between two messages.</summary>
internal sealed class UrgentByte() : Scenario(new ScenarioInfo(
    "3.6",
    "urgent-byte",
    "Asks once, sends one urgent byte, asks again, and ends by FIN.",
    "Both replies, then FIN.",
    "RFC 9293 3.8.5, RFC 6093",
    "An urgent byte stands outside of the stream. Servers that count bytes, or close because of it, break."))
{
    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (context.Calibration.IsOneShot)
        {
            return Finding.Skip("The server ends the connection behind every request, so nothing can be asked twice.");
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        if (!await context.ExchangeAsync(connection, cancellationToken))
        {
            return Finding.Unsure(EndJudge.DescribeEnd(connection),
                "The request before the urgent byte was not answered.");
        }

        connection.SendUrgent((byte)'!');
        var isAnswered = await context.ExchangeAsync(connection, cancellationToken);
        await connection.SendFinAsync();
        var load = context.CreateLoad(requests: 2, withEnding: false);
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        var finding = EndJudge.Judge(connection, load, context.Profile, waited);
        var isData = connection.ReceivedBytes > load.ReplyBytes; // The urgent byte came back inside of a reply.
        return (finding.Verdict == Verdict.Pass && !isData) || (isAnswered && finding.Fault != Fault.None)
            ? finding
            : Finding.Skip(
                $"The server reads urgent bytes as data, which is allowed, or stops at them: {finding.Seen}.");
    }
}
