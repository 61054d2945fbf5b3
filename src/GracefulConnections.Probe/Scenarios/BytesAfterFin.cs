using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>A few bytes arrive when the server has already ended the connection.</summary>
internal sealed class BytesAfterFin() : Scenario(new ScenarioInfo(
    "1.2",
    "bytes-after-fin",
    "Asks for replies and for the end, pauses before the last 48 KiB, " +
        "sends 4 bytes, reads on, sends 4 more behind FIN.",
    "Every reply, then FIN. The late bytes are taken: no RST.",
    "RFC 1122 4.2.2.13, RFC 9112 9.6",
    "A message that crosses with the server's FIN is usual. It must not cost the peer the reply that it has not read."))
{
    private const int UnreadBytes = 48 * 1024;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromSeconds(2);
    private static readonly byte[] LateBytes = "late"u8.ToArray();

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (!context.Calibration.EndsItself)
        {
            return Finding.Skip(ScenarioContext.NeverEndsReason);
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        var load = context.CreateLoad(withEnding: true);
        var send = connection.SendAsync(load.Bytes, cancellationToken);
        await connection.ReadToAsync(load.ReplyBytes - UnreadBytes, cancellationToken);
        context.Timeline.Note("The probe stops reading for 300 ms.");
        var stopped = context.Timeline.ElapsedMs;
        await context.DelayAsync(Pause, cancellationToken);
        var late = SendLateAsync(connection, send, cancellationToken);
        await context.DelayAsync(Pause, cancellationToken);
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken, toCloseNotify: true);
        var delay = TimeSpan.FromMilliseconds(context.Timeline.ElapsedMs - stopped);
        await late;
        var isKnown = true;
        if (connection.HasCompleted)
        {
            await connection.SendAsync(LateBytes, cancellationToken);
            isKnown = await connection.AwaitDeliveryAsync(cancellationToken) is not null;
            delay = TimeSpan.FromMilliseconds(context.Timeline.ElapsedMs - stopped);
            await connection.SendFinAsync();
            waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        }

        var finding = EndJudge.Judge(connection, load, context.Profile, waited);
        return finding.Verdict switch
        {
            Verdict.Pass when !isKnown => Finding.Unsure(finding.Seen,
                "Whether the late bytes were taken cannot be seen on this system or network."),
            Verdict.Fail when delay > LongestDelay && connection.End != ServerEnd.None => Finding.Unsure(finding.Seen,
                $"The pauses took {delay.TotalSeconds:0.0} s, because this machine or the network is busy. " +
                "A server may let go of a peer that is silent for so long."),
            _ => finding,
        };
    }

    private static async Task SendLateAsync(
        ProbeConnection connection, Task<bool> send, CancellationToken cancellationToken)
    {
        if (await send)
        {
            await connection.SendAsync(LateBytes, cancellationToken);
        }
    }
}
