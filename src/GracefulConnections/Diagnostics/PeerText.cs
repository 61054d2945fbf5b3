using System.Globalization;
using System.Net;
using System.Text;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Spells text that a peer chose, such as the path that a Unix domain socket's client bound itself to, so that it
/// cannot end a log line, begin a forged one or command a terminal.
/// </summary>
internal static class PeerText
{
    private const int MaxLength = 128; // A path has at most 108 bytes; a custom transport's address any number.

    /// <summary>Spells an address; <c>no address</c> where there is none.</summary>
    public static string Spell(EndPoint? endPoint)
    {
        try
        {
            return endPoint?.ToString() is { Length: > 0 } text ? Spell(text) : "no address";
        }
        catch (Exception exception)
        {
            // A transport's own address, and its text must not keep a server from stopping.
            return $"{endPoint!.GetType().Name} ({exception.GetType().Name})";
        }
    }

    /// <summary>Spells any text. What is not plainly visible becomes an escape such as <c>\u000A</c>.</summary>
    public static string Spell(string text)
    {
        var isLong = text.Length > MaxLength;
        var head = isLong ? text.AsSpan(0, MaxLength) : text;
        var isPlain = !isLong;
        foreach (var rune in head.EnumerateRunes())
        {
            isPlain &= IsPlain(rune);
        }

        if (isPlain)
        {
            return text;
        }

        var spelled = new StringBuilder();
        foreach (var rune in head.EnumerateRunes())
        {
            spelled = IsPlain(rune)
                ? spelled.Append(rune.ToString())
                : spelled.Append(CultureInfo.InvariantCulture, $"\\u{rune.Value:X4}");
        }

        return isLong ? spelled.Append("...").ToString() : spelled.ToString();
    }

    // The backslash too: a peer could spell an escape itself.
    private static bool IsPlain(Rune rune) => rune.Value is not ('\\' or '"')
        && Rune.GetUnicodeCategory(rune) is not (
            UnicodeCategory.Control
            or UnicodeCategory.Format
            or UnicodeCategory.LineSeparator
            or UnicodeCategory.ParagraphSeparator
            or UnicodeCategory.PrivateUse
            or UnicodeCategory.OtherNotAssigned
            or UnicodeCategory.Surrogate);
}
