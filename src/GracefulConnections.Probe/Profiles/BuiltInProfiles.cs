using System.Text;
using System.Text.RegularExpressions;

namespace GracefulConnections.Probe.Profiles;

/// <summary>The protocols that the probe speaks by itself.</summary>
internal static class BuiltInProfiles
{
    private const int EchoBytes = 4096;
    private const int ArgumentBytes = 1000;

    // nginx ends a connection after 1,000 requests by default (keepalive_requests).
    private const int MostHttpRequests = 500;

    // Mail servers count commands that carry no mail, and hang up after some tens of them.
    private const int MostSmtpCommands = 15;

    public static IReadOnlyList<string> Names { get; } = ["echo", "http", "resp", "line", "smtp", "custom"];

    /// <summary>Returns the profile <paramref name="name"/>; <see langword="null"/> if there is none.</summary>
    /// <param name="host">The name that HTTP's Host field needs.</param>
    public static Profile? Find(string name, string host) => name switch
    {
        "echo" => Echo(),
        "http" => Http(host),
        "resp" => Resp(),
        "line" => Line(),
        "smtp" => Smtp(),
        _ => null,
    };

    private static Profile Echo()
    {
        var request = new byte[EchoBytes];
        for (var i = 0; i < request.Length; i++)
        {
            request[i] = (byte)('A' + (i % 26)); // Readable in a capture, and out of order is seen.
        }

        return new Profile { Name = "echo", Request = request, Reply = new ExactReply(request) };
    }

    private static Profile Http(string host)
    {
        var request = $"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: graceful-probe\r\n";
        return new Profile
        {
            Name = "http",
            Request = Encoding.ASCII.GetBytes($"{request}\r\n"),
            Reply = new HttpReply(),
            Ending = Encoding.ASCII.GetBytes($"{request}Connection: close\r\n\r\n"),
            HalfBytes = request.Length / 2,
            MaxPipelined = MostHttpRequests,
        };
    }

    private static Profile Resp()
    {
        var argument = new string('e', ArgumentBytes);
        var request = Encoding.ASCII.GetBytes($"*2\r\n$4\r\nECHO\r\n${ArgumentBytes}\r\n{argument}\r\n");
        return new Profile
        {
            Name = "resp",
            Request = request,
            Reply = new ExactReply(Encoding.ASCII.GetBytes($"${ArgumentBytes}\r\n{argument}\r\n")),
            Ending = "*1\r\n$4\r\nQUIT\r\n"u8.ToArray(),
            Refusal = Pattern("-"),
            HalfBytes = request.Length / 2,
        };
    }

    private static Profile Line()
    {
        var request = Encoding.ASCII.GetBytes($"graceful-probe {new string('l', 485)}\r\n");
        return new Profile
        {
            Name = "line",
            Request = request,
            Reply = new PatternReply(@"[^\n]*\n"),
            Ending = "quit\r\n"u8.ToArray(),
            Refusal = Pattern(@"(?i)\s*(?:-|err|bad|unknown|invalid|[45]\d\d\b)"),
            HalfBytes = request.Length / 2,
        };
    }

    private static Profile Smtp() => new()
    {
        Name = "smtp",
        Greeting = new PatternReply(@"(?:220-[^\n]*\n)*220(?: [^\n]*)?\n"),
        Request = "NOOP\r\n"u8.ToArray(),
        Reply = new PatternReply(@"250[^\n]*\n"),
        Ending = "QUIT\r\n"u8.ToArray(),
        Refusal = Pattern(@"[45]\d\d"),
        HalfBytes = 2,
        MaxPipelined = MostSmtpCommands,
    };

    private static Regex Pattern(string pattern) => new($@"\A(?:{pattern})", RegexOptions.CultureInvariant);
}
