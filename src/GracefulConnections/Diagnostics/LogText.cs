using System.Net;

namespace GracefulConnections.Diagnostics;

/// <summary>Text that a peer supplies, such as the path of its Unix socket, made safe for one line of a log.</summary>
internal static class LogText
{
    private const int MaxLength = 128;

    public static string Of(EndPoint? endPoint)
    {
        if (endPoint?.ToString() is not { Length: > 0 } text)
        {
            return "a peer without an address";
        }

        return string.Create(Math.Min(text.Length, MaxLength), text, static (safe, text) =>
        {
            for (var i = 0; i < safe.Length; i++)
            {
                safe[i] = char.IsControl(text[i]) || char.IsSurrogate(text[i]) ? '?' : text[i]; // No new line, no escape sequence.
            }
        });
    }
}
