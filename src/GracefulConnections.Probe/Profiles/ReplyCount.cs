namespace GracefulConnections.Probe.Profiles;

/// <summary>Which of the replies that a load asks for have come.</summary>
/// <param name="Whole">How many whole replies came, the last one not counted.</param>
/// <param name="CutBytes">How many bytes of a cut reply came.</param>
/// <param name="ExpectedBytes">How many bytes the server owed.</param>
/// <param name="MissingBytes">How many of them did not come.</param>
/// <param name="IsForeign">Whether something came that is no such reply.</param>
internal readonly record struct ReplyCount(
    int Whole, long CutBytes, long ExpectedBytes, long MissingBytes, bool IsForeign)
{
    public static ReplyCount Of(ReadOnlySpan<byte> received, ReplyForm form, Load load)
    {
        var rest = received;
        var whole = 0;
        while (whole < load.Requests && !rest.IsEmpty)
        {
            var length = form.Measure(rest);
            if (length == ReplyForm.Foreign)
            {
                return new ReplyCount(whole, rest.Length, load.ReplyBytes, 0, IsForeign: true);
            }

            if (length == ReplyForm.Incomplete)
            {
                break;
            }

            whole++;
            if (form.IsLast(rest[..length]))
            {
                // The server announced that this was the last, so it owes nothing for what stands behind.
                return new ReplyCount(whole, 0, received.Length, 0, IsForeign: false);
            }

            rest = rest[length..];
        }

        var hasLast = load.LastReplyBytes == 0 || IsLastWhole(rest, form, load);
        if (whole == load.Requests && hasLast)
        {
            return new ReplyCount(whole, 0, load.ReplyBytes, 0, IsForeign: false);
        }

        // Replies may differ in length, so the count of whole ones decides and the bytes are at least one.
        var missing = Math.Max(1, load.ReplyBytes - received.Length);
        return new ReplyCount(whole, rest.Length, load.ReplyBytes, missing, IsForeign: false);
    }

    private static bool IsLastWhole(ReadOnlySpan<byte> rest, ReplyForm form, Load load) =>
        rest.Length >= load.LastReplyBytes || form.Measure(rest) > 0;
}
