using System.Globalization;
using System.Text;

namespace GracefulConnections.Probe.Profiles;

/// <summary>Bytes as a user types and reads them: <c>\r \n \t \0 \\ \xHH</c>, all else UTF-8.</summary>
internal static class Escapes
{
    /// <summary>Reads what a user typed.</summary>
    /// <exception cref="FormatException">A backslash is followed by something else.</exception>
    public static byte[] ToBytes(string text)
    {
        var bytes = new List<byte>(text.Length);
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != '\\')
            {
                var end = text.IndexOf('\\', i);
                end = end < 0 ? text.Length : end;
                bytes.AddRange(Encoding.UTF8.GetBytes(text[i..end]));
                i = end - 1;
                continue;
            }

            i++;
            bytes.Add((i < text.Length ? text[i] : ' ') switch
            {
                'r' => (byte)'\r',
                'n' => (byte)'\n',
                't' => (byte)'\t',
                '0' => 0,
                '\\' => (byte)'\\',
                'x' when TryReadHex(text, ref i, out var value) => value,
                _ => throw new FormatException(
                    $"\"{text}\" has a backslash at character {i} that begins none of \\r \\n \\t \\0 \\\\ \\xHH."),
            });
        }

        return [.. bytes];
    }

    /// <summary>Writes bytes for a message, cut after <paramref name="most"/> of them.</summary>
    public static string ToText(ReadOnlySpan<byte> bytes, int most)
    {
        var text = new StringBuilder();
        foreach (var value in bytes[..Math.Min(bytes.Length, most)])
        {
            _ = value switch
            {
                (byte)'\r' => text.Append(@"\r"),
                (byte)'\n' => text.Append(@"\n"),
                (byte)'\t' => text.Append(@"\t"),
                (byte)'\\' => text.Append(@"\\"),
                >= 0x20 and < 0x7F => text.Append((char)value),
                _ => text.Append(CultureInfo.InvariantCulture, $"\\x{value:X2}"),
            };
        }

        return bytes.Length > most ? $"{text}..." : text.ToString();
    }

    private static bool TryReadHex(string text, ref int i, out byte value)
    {
        value = 0;
        if (i + 2 >= text.Length ||
            !byte.TryParse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier,
                CultureInfo.InvariantCulture, out value))
        {
            return false;
        }

        i += 2;
        return true;
    }
}
