using GracefulConnections.Probe.Judging;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The server ends the connection while the peer is still sending.</summary>
internal sealed class ReplyWhileUploading() : Scenario(new ScenarioInfo(
    "1.1",
    "reply-while-uploading",
    "Asks for replies, then for the end, goes on sending whole requests, and reads slowly.",
    "Every reply, then FIN. No RST before the peer's own FIN.",
    "RFC 1122 4.2.2.13, RFC 9112 9.6",
    "A server that closes with unread bytes makes its kernel send RST and throw away what is still to be sent."))
{
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan GoOn = TimeSpan.FromMilliseconds(150);

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (!context.Calibration.EndsItself)
        {
            return Finding.Skip(ScenarioContext.NeverEndsReason);
        }

        await using var connection = await context.ConnectAsync(cancellationToken);
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var load = context.CreateLoad(withEnding: true);
        var upload = context.UploadAsync(connection, load, enough.Token);
        var waited = await context.ReadToEndAsync(connection, load, cancellationToken, Pace, toCloseNotify: true);
        await context.DelayAsync(GoOn, cancellationToken);
        await enough.CancelAsync();
        await upload;
        if (connection.HasCompleted)
        {
            await connection.AwaitDeliveryAsync(cancellationToken);
            await connection.SendFinAsync();
            waited = await context.ReadToEndAsync(connection, load, cancellationToken);
        }

        return EndJudge.Judge(connection, load, context.Profile, waited);
    }
}
