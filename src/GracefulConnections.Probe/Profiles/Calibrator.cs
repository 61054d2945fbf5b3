using System.Net.Sockets;
using GracefulConnections.Probe.Commands;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Profiles;

/// <summary>
/// Talks to the server once as a polite peer, to learn whether the profile fits and how long replies are.
/// </summary>
internal sealed class Calibrator(ConnectionSettings settings, Profile profile)
{
    private static readonly TimeSpan ReplyPause = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan EndWait = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan OneShotWait = TimeSpan.FromMilliseconds(200);

    /// <summary>Calibrates.</summary>
    /// <returns>What was learned, and the profile with what it did not know.</returns>
    /// <exception cref="ProbeFailedException">The server cannot be reached, or does not speak the profile.</exception>
    public async Task<(Calibration Calibration, Profile Profile)> RunAsync(CancellationToken cancellationToken)
    {
        var timeline = new Timeline(settings.Time);
        await using var connection = await ConnectAsync(timeline, cancellationToken);
        await ReadGreetingAsync(connection, cancellationToken);
        await connection.SendAsync(profile.Request, cancellationToken);
        var replyBytes = await ReadReplyAsync(connection, cancellationToken);
        var tls = connection.TlsVersion?.ToString();
        var known = profile.Reply is UnknownReply ? profile with { Reply = new LengthReply(replyBytes) } : profile;

        await connection.ReadAsync(OneShotWait, cancellationToken);
        if (connection.End != ServerEnd.None)
        {
            return (new Calibration(replyBytes, replyBytes, EndsItself: true, IsOneShot: true, tls), known);
        }

        if (profile.Ending is null)
        {
            await connection.SendFinAsync();
            return (new Calibration(replyBytes, 0, EndsItself: false, IsOneShot: false, tls), known);
        }

        var before = connection.ReceivedBytes;
        await connection.SendAsync(profile.Ending, cancellationToken);
        await connection.ReadToEndAsync(cancellationToken, silence: Max(EndWait, settings.Patience));
        var ended = connection.End is ServerEnd.Fin or ServerEnd.Reset;
        var lastBytes = (int)(connection.ReceivedBytes - before);
        return (new Calibration(replyBytes, lastBytes, ended, IsOneShot: false, tls), known);
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private async Task<ProbeConnection> ConnectAsync(Timeline timeline, CancellationToken cancellationToken)
    {
        try
        {
            return await ProbeConnection.ConnectAsync(settings, timeline, windowBytes: 0, cancellationToken);
        }
        catch (SocketException exception)
        {
            throw new ProbeFailedException(
                ExitCode.Unreachable,
                    $"{settings.Target} cannot be reached: {exception.Message}. Is the server running?");
        }
        catch (TlsFailedException exception)
        {
            throw new ProbeFailedException(
                ExitCode.Unreachable,
                $"{settings.Target}: the TLS handshake failed: {exception.Message.TrimEnd('.')}. " +
                "Does the port speak TLS? Give --tls-ca FILE or --insecure for " +
                    "a certificate that is not trusted here.");
        }
    }

    private async Task ReadGreetingAsync(ProbeConnection connection, CancellationToken cancellationToken)
    {
        if (profile.Greeting is null)
        {
            return;
        }

        if (await Greeting.ReadAsync(connection, profile.Greeting, settings.Patience, cancellationToken) is { } problem)
        {
            throw WrongProfile($"the greeting should be {profile.Greeting}, but {problem}");
        }
    }

    private async Task<int> ReadReplyAsync(ProbeConnection connection, CancellationToken cancellationToken)
    {
        var sent = Escapes.ToText(profile.Request, most: 40);
        while (true)
        {
            var length = profile.Reply.Measure(connection.Received);
            if (length > 0)
            {
                return length;
            }

            var isUnknown = profile.Reply is UnknownReply && connection.ReceivedBytes > 0;
            var outcome = length == ReplyForm.Foreign
                ? ReadOutcome.Ended
                : await connection.ReadAsync(isUnknown ? ReplyPause : settings.Patience, cancellationToken);
            if (outcome != ReadOutcome.Reached)
            {
                return isUnknown
                    ? (int)connection.ReceivedBytes
                    : throw WrongProfile(
                        $"to \"{sent}\" the reply should be {profile.Reply}, but {Say(connection, outcome)}");
            }
        }
    }

    private static string Say(ProbeConnection connection, ReadOutcome outcome)
    {
        var came = connection.ReceivedBytes == 0
            ? "nothing came"
            : $"\"{Escapes.ToText(connection.Received, most: 60)}\" came";
        return connection.End != ServerEnd.None || outcome == ReadOutcome.Silent
            ? $"{came}, then {Judging.EndJudge.DescribeEnd(connection)}"
            : came;
    }

    private ProbeFailedException WrongProfile(string what) => new(
        ExitCode.Unreachable,
        $"{settings.Target} does not speak the profile {profile.Name}: {what}. " +
            "Choose another --profile, or --send and --expect.");
}
