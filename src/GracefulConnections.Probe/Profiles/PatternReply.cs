using System.Text;
using System.Text.RegularExpressions;

namespace GracefulConnections.Probe.Profiles;

/// <summary>A reply that a regular expression describes. Bytes are matched as Latin-1 characters.</summary>
internal sealed class PatternReply : ReplyForm
{
    private const int MostBytes = 64 * 1024;
    private static readonly TimeSpan MatchTimeout = TimeSpan.FromSeconds(2);

    private readonly Regex _regex;

    /// <exception cref="ArgumentException">The pattern is no regular expression.</exception>
    public PatternReply(string pattern)
    {
        Pattern = pattern;
        _regex = new Regex($@"\A(?:{pattern})", RegexOptions.CultureInvariant, MatchTimeout);
    }

    public string Pattern { get; }

    public override int Measure(ReadOnlySpan<byte> received)
    {
        // Most replies are short: the whole rest need not be made a string for each of them.
        var window = 512;
        while (true)
        {
            var bytes = Math.Min(window, Math.Min(received.Length, MostBytes));
            var match = _regex.Match(Encoding.Latin1.GetString(received[..bytes]));
            if (match is { Success: true, Length: > 0 })
            {
                return match.Length;
            }

            if (bytes == received.Length || bytes == MostBytes)
            {
                return bytes == MostBytes ? Foreign : Incomplete;
            }

            window *= 8;
        }
    }

    public override string ToString() => $"/{Pattern}/";
}
