using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Judging;

/// <summary>Judges the end of one connection: whether every reply came, and what came behind them.</summary>
internal static class EndJudge
{
    /// <summary>Judges a connection whose end the scenario has waited for.</summary>
    /// <param name="load">What was asked for.</param>
    /// <param name="waited">How long the probe waited for the end, if none came.</param>
    public static Finding Judge(ProbeConnection connection, Load load, Profile profile, TimeSpan waited)
    {
        var count = ReplyCount.Of(connection.Received, profile.Reply, load);
        var seen = Describe(connection, count);
        if (count.IsForeign)
        {
            return Finding.Unsure(seen, "A reply is not of the profile's form, so missing bytes cannot be counted.");
        }

        return count.MissingBytes > 0
            ? JudgeLoss(connection, count, seen, waited)
            : JudgeCompleteEnd(connection, seen, waited);
    }

    public static string Describe(ProbeConnection connection, ReplyCount count)
    {
        var bytes = count.MissingBytes > 0
            ? $"{connection.ReceivedBytes:N0} bytes of {count.ExpectedBytes:N0}"
            : $"{connection.ReceivedBytes:N0} bytes";
        return $"{bytes}, then {DescribeEnd(connection)}";
    }

    public static string DescribeEnd(ProbeConnection connection) => connection.End switch
    {
        ServerEnd.None => "nothing",
        ServerEnd.Fin when connection.ResetAfterFin => "FIN and RST",
        ServerEnd.Fin when connection.IsTruncated => "FIN without close_notify",
        ServerEnd.Fin => "FIN",
        ServerEnd.Reset when connection.IsResetMasked => "RST (send reported it, recv read a clean end)",
        ServerEnd.Reset => "RST",
        _ => "no answer from the network",
    };

    private static Finding JudgeLoss(ProbeConnection connection, ReplyCount count, string seen, TimeSpan waited)
    {
        if (connection.End == ServerEnd.None)
        {
            return Finding.Unsure(
                seen, $"The connection is open, so the missing bytes may be late. Nothing came for {Text(waited)}.");
        }

        if (connection.End == ServerEnd.Unreachable)
        {
            return Finding.Unsure(seen, "The network gave up, so the server is not to blame for what is missing.");
        }

        var isTold = connection.End == ServerEnd.Reset || connection.IsTruncated;
        return Finding.Fail(
            isTold ? Fault.LostBehindReset : Fault.LostBehindEnd,
            seen,
            isTold ? null : "A program that reads cannot know that something is missing.",
            count.MissingBytes);
    }

    private static Finding JudgeCompleteEnd(ProbeConnection connection, string seen, TimeSpan waited) =>
        connection.End switch
        {
            ServerEnd.None when waited >= Limits.LateRelease => Finding.Fail(
                Fault.LateRelease, seen, $"The server did not end the connection within {Text(waited)}."),
            ServerEnd.None => Finding.Unsure(seen, $"The server did not end the connection within {Text(waited)}."),
            ServerEnd.Unreachable => Finding.Unsure(seen, "The network gave up before the server's end came."),
            ServerEnd.Reset => Finding.Fail(
                Fault.UncleanEnd, seen, "A peer that has not read everything yet can lose the rest."),
            _ when connection.ResetAfterFin => Finding.Fail(
                Fault.UncleanEnd, seen, "A peer that has not read everything yet can lose the rest."),
            _ when connection.IsTruncated => Finding.Fail(
                Fault.UncleanEnd, seen, "A peer cannot tell this end from an attacker's (RFC 8446, section 6.1)."),
            _ => Finding.Pass(seen),
        };

    private static string Text(TimeSpan time) => $"{time.TotalSeconds:0.#} s";
}
