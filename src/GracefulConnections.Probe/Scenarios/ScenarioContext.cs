using System.Net.Sockets;
using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>What a scenario has in hand: the server, its protocol and a timeline of its own.</summary>
internal sealed class ScenarioContext(
    ConnectionSettings settings, Profile profile, Calibration calibration, int idleConnections)
{
    private const int BatchBytes = 16 * 1024;
    private static readonly TimeSpan UploadPause = TimeSpan.FromMilliseconds(5);

    private static readonly TimeSpan[] ServingPauses =
        [TimeSpan.FromMilliseconds(100), TimeSpan.FromMilliseconds(400), TimeSpan.FromSeconds(1)];

    /// <summary>What a scenario says that needs a server which ends connections itself.</summary>
    public const string NeverEndsReason =
        "The profile has no message after which this server ends the connection. Give one by --end.";

    public Profile Profile => profile;

    public Calibration Calibration => calibration;

    public int IdleConnections => idleConnections;

    public TimeSpan Patience => settings.Patience;

    /// <summary>Gets whether what a send has returned for is in the server's kernel already.</summary>
    public bool ArrivesAtOnce => settings.Target.IsLoopback;

    public Timeline Timeline { get; } = new(settings.Time);

    /// <summary>Connects and reads the greeting.</summary>
    public async Task<ProbeConnection> ConnectAsync(
        CancellationToken cancellationToken, int windowBytes = ProbeConnection.SmallWindowBytes)
    {
        var connection = await ProbeConnection.ConnectAsync(settings, Timeline, windowBytes, cancellationToken);
        if (profile.Greeting is not null)
        {
            await Greeting.ReadAsync(connection, profile.Greeting, Patience, cancellationToken);
        }

        return connection;
    }

    public Load CreateLoad(bool withEnding) => calibration.CreateLoad(profile, withEnding);

    public Load CreateLoad(int requests, bool withEnding) => calibration.CreateLoad(profile, requests, withEnding);

    public Task DelayAsync(TimeSpan time, CancellationToken cancellationToken) =>
        Task.Delay(time, settings.Time, cancellationToken);

    /// <summary>Judges a connection whose end was waited for as long as patience is.</summary>
    public Finding Judge(ProbeConnection connection, Load load) =>
        EndJudge.Judge(connection, load, profile, settings.Patience);

    /// <summary>Sends the load, and then whole requests for ever, until the token is cancelled.</summary>
    public async Task UploadAsync(ProbeConnection connection, Load load, CancellationToken cancellationToken)
    {
        var batch = Repeat(profile.Request, BatchBytes);
        var goesOn = await connection.SendAsync(load.Bytes, cancellationToken);
        while (goesOn && !cancellationToken.IsCancellationRequested)
        {
            goesOn = await connection.SendAsync(batch, cancellationToken);
            await Task.Delay(UploadPause, settings.Time, CancellationToken.None);
        }
    }

    /// <summary>Sends one request and reads one reply.</summary>
    /// <returns>Whether the reply came whole.</returns>
    public async Task<bool> ExchangeAsync(ProbeConnection connection, CancellationToken cancellationToken)
    {
        var before = (int)connection.ReceivedBytes;
        await connection.SendAsync(profile.Request, cancellationToken);
        return await ReadReplyAsync(connection, before, cancellationToken);
    }

    /// <summary>Reads the reply to a request that was sent when <paramref name="before"/> bytes had come.</summary>
    /// <returns>Whether the reply came whole.</returns>
    public async Task<bool> ReadReplyAsync(ProbeConnection connection, int before, CancellationToken cancellationToken)
    {
        while (true)
        {
            var length = profile.Reply.Measure(connection.Received[before..]);
            if (length > 0 || length == ReplyForm.Foreign)
            {
                return length > 0;
            }

            if (await connection.ReadAsync(Patience, cancellationToken) != ReadOutcome.Reached)
            {
                return false;
            }
        }
    }

    /// <summary>Waits for the server's end, as long as the grade rule gives it when everything else has come.</summary>
    /// <param name="toCloseNotify">Whether the server's close_notify is an end; else only FIN or RST is.</param>
    /// <returns>How long was waited for the last byte or the end.</returns>
    public async Task<TimeSpan> ReadToEndAsync(
        ProbeConnection connection,
        Load load,
        CancellationToken cancellationToken,
        TimeSpan pace = default,
        bool toCloseNotify = false)
    {
        var outcome = await connection.ReadToAsync(
            long.MaxValue, cancellationToken, pace, toCloseNotify: toCloseNotify);
        if (outcome != ReadOutcome.Silent ||
            ReplyCount.Of(connection.Received, profile.Reply, load) is not { MissingBytes: 0, IsForeign: false })
        {
            return Patience;
        }

        await connection.ReadToAsync(
            long.MaxValue, cancellationToken, silence: Limits.LateRelease, toCloseNotify: toCloseNotify);
        return Limits.LateRelease;
    }

    /// <summary>
    /// Looks whether new peers are served: whether the server outlived what was done to it. Three peers within 1.5 s,
    /// because a server may learn late of what kills it.
    /// </summary>
    public async Task<Finding> CheckServingAsync(string seen, CancellationToken cancellationToken)
    {
        Timeline.Note("Do new peers get their replies?");
        foreach (var pause in ServingPauses)
        {
            await DelayAsync(pause, cancellationToken);
            try
            {
                await using var connection = await ConnectAsync(cancellationToken);
                if (!await ExchangeAsync(connection, cancellationToken))
                {
                    return Finding.Fail(
                        Fault.Died, $"{seen}, a new peer got no reply: {EndJudge.DescribeEnd(connection)}");
                }

                await connection.SendFinAsync();
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionRefused)
            {
                return Finding.Fail(Fault.Died, $"{seen}, a new peer was refused: nobody listens");
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionReset)
            {
                // It was in the queue of a listening socket that was closed, or aborted, before connect had returned.
                return Finding.Fail(Fault.Died, $"{seen}, a new peer was reset before it had sent anything");
            }
        }

        return Finding.Pass($"{seen}, new peers were served");
    }

    private static byte[] Repeat(byte[] message, int bytes)
    {
        var times = Math.Max(1, bytes / message.Length);
        return [.. Enumerable.Repeat(message, times).SelectMany(static part => part)];
    }
}
