namespace RespServer.Storage;

/// <summary>Patterns as KEYS takes them: <c>*</c>, <c>?</c>, <c>[abc]</c>, <c>[a-c]</c>, <c>[^abc]</c>, and <c>\</c> before anything that should stand for itself.</summary>
internal static class GlobPattern
{
    /// <summary>
    /// Matches without recursion: after a mismatch only the last <c>*</c> takes one byte more, so that no pattern needs more steps than its length times the text's.
    /// </summary>
    public static bool IsMatch(ReadOnlySpan<byte> pattern, ReadOnlySpan<byte> text)
    {
        var next = 0;
        var afterStar = -1;
        var starEnd = 0;
        for (var i = 0; i < text.Length;)
        {
            if (next < pattern.Length && pattern[next] == '*')
            {
                afterStar = ++next;
                starEnd = i;
            }
            else if (next < pattern.Length && IsMatch(pattern, ref next, text[i]))
            {
                i++;
            }
            else if (afterStar >= 0)
            {
                next = afterStar;
                i = ++starEnd;
            }
            else
            {
                return false;
            }
        }

        return pattern[next..].TrimStart((byte)'*').IsEmpty;
    }

    private static bool IsMatch(ReadOnlySpan<byte> pattern, ref int next, byte character)
    {
        switch (pattern[next++])
        {
            case (byte)'?':
                return true;
            case (byte)'[':
                return IsClassMatch(pattern, ref next, character);
            case (byte)'\\' when next < pattern.Length:
                return pattern[next++] == character;
            default:
                return pattern[next - 1] == character;
        }
    }

    // A class that nobody closed ends with the pattern, as in Redis.
    private static bool IsClassMatch(ReadOnlySpan<byte> pattern, ref int next, byte character)
    {
        var isNegated = next < pattern.Length && pattern[next] == '^';
        next += isNegated ? 1 : 0;
        var isMatch = false;
        while (next < pattern.Length && pattern[next] != ']')
        {
            var first = TakeMember(pattern, ref next);
            var last = first;
            if (next + 1 < pattern.Length && pattern[next] == '-')
            {
                next++;
                last = TakeMember(pattern, ref next);
            }

            isMatch |= character >= Math.Min(first, last) && character <= Math.Max(first, last);
        }

        next = Math.Min(next + 1, pattern.Length);
        return isMatch != isNegated;
    }

    private static byte TakeMember(ReadOnlySpan<byte> pattern, ref int next)
    {
        next += pattern[next] == '\\' && next + 1 < pattern.Length ? 1 : 0;
        return pattern[next++];
    }
}
