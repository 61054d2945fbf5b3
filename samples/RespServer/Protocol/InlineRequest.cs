using System.Buffers;
using System.Globalization;

namespace RespServer.Protocol;

/// <summary>Splits a line that somebody typed into words, with quotes as in a shell: <c>SET greeting "hello world\n"</c>.</summary>
internal static class InlineRequest
{
    /// <summary>Splits <paramref name="line"/>, which then belongs to the request: the words are unquoted where they are, as that only makes them shorter.</summary>
    public static void Split(byte[] line, Request request)
    {
        var from = 0;
        var to = 0;
        while (true)
        {
            while (from < line.Length && IsSpace(line[from]))
            {
                from++;
            }

            if (from == line.Length)
            {
                return;
            }

            var start = to;
            UnquoteWord(line, ref from, ref to);
            request.Add(new ReadOnlySequence<byte>(line, start, to - start));
        }
    }

    private static void UnquoteWord(byte[] line, ref int from, ref int to)
    {
        byte quote = 0;
        while (from < line.Length)
        {
            var next = line[from++];
            if (quote == 0)
            {
                if (IsSpace(next))
                {
                    return;
                }

                if (next is (byte)'"' or (byte)'\'')
                {
                    quote = next;
                    continue;
                }
            }
            else if (next == quote)
            {
                if (from < line.Length && !IsSpace(line[from]))
                {
                    break;
                }

                quote = 0;
                continue;
            }
            else if (next == '\\')
            {
                next = Unescape(line, ref from, quote);
            }

            line[to++] = next;
        }

        if (quote != 0)
        {
            throw new ProtocolException("unbalanced quotes in request");
        }
    }

    // Within single quotes there is one escape, the quote itself.
    private static byte Unescape(byte[] line, ref int from, byte quote)
    {
        if (from == line.Length || (quote == '\'' && line[from] != '\''))
        {
            return (byte)'\\';
        }

        if (line[from] == 'x' && from + 2 < line.Length && byte.TryParse(line.AsSpan(from + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
        {
            from += "xFF".Length;
            return value;
        }

        return line[from++] switch
        {
            (byte)'n' => (byte)'\n',
            (byte)'r' => (byte)'\r',
            (byte)'t' => (byte)'\t',
            (byte)'b' => (byte)'\b',
            (byte)'a' => (byte)'\a',
            var other => other,
        };
    }

    private static bool IsSpace(byte character) => char.IsWhiteSpace((char)character) && char.IsAscii((char)character);
}
