using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>Judges what a server answered to half a message.</summary>
internal static class HalfMessage
{
    public const string NoHalfReason = "Every byte is a whole message in this profile, so there is no half of one.";

    public static Finding Judge(ProbeConnection connection, Profile profile, string sent)
    {
        var seen = $"{connection.ReceivedBytes:N0} bytes, then {EndJudge.DescribeEnd(connection)}";
        if (connection.ReceivedBytes == 0)
        {
            return JudgeSilence(connection, seen);
        }

        var length = profile.Reply.Measure(connection.Received);
        var text = System.Text.Encoding.Latin1.GetString(connection.Received);
        if (profile.Refusal?.IsMatch(text) == true || (length > 0 && profile.Reply.IsRefusal(connection.Received)))
        {
            return Finding.Pass($"{seen}; the reply refuses the message");
        }

        return length > 0 && profile.Reply is not LengthReply
            ? Finding.Fail(Fault.ExecutedHalf, $"{seen}; {sent} was answered as if it were whole")
            : Finding.Unsure(seen,
                "Something was answered to half a message, " +
                "and it is neither a reply nor a refusal that the profile knows.");
    }

    private static Finding JudgeSilence(ProbeConnection connection, string seen) => connection.End switch
    {
        ServerEnd.None => Finding.Fail(
            Fault.LateRelease,
                seen, $"The server did not end the connection within {Limits.LateRelease.TotalSeconds:0} s."),
        ServerEnd.Unreachable => Finding.Unsure(seen, "The network gave up."),
        _ => Finding.Pass(seen), // RST as well: it says that the message was not taken.
    };
}
