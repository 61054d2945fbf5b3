using System.Globalization;
using System.Text;

namespace RespServer.Protocol;

/// <summary>Numbers as Redis takes them: no plus, no leading zero, no space, nothing but what it would print itself.</summary>
internal static class StrictInteger
{
    /// <summary>The length of the longest one, the smallest number with its sign.</summary>
    public const int MaxBytes = 20;

    public static bool TryParse(ReadOnlySpan<byte> text, out long value)
    {
        Span<byte> printed = stackalloc byte[MaxBytes];
        return long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out value)
            && value.TryFormat(printed, out var length, default, CultureInfo.InvariantCulture)
            && text.SequenceEqual(printed[..length]);
    }

    public static byte[] Print(long value) => Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture));
}
