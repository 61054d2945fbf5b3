using System.Globalization;
using System.Security.Cryptography;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>A response as it came over the wire.</summary>
internal sealed record HttpAnswer(int Status, IReadOnlyDictionary<string, string> Headers, byte[] Body)
{
    /// <summary>Gets whether the server said that this is the connection's last answer.</summary>
    public bool ClosesConnection => Headers.TryGetValue("Connection", out var value) && value == "close";

    public string Hash => Convert.ToHexStringLower(SHA256.HashData(Body));

    /// <summary>Reads what stands before the body (RFC 9112).</summary>
    public static HttpAnswer ParseHead(string head)
    {
        var lines = head.Split("\r\n", StringSplitOptions.RemoveEmptyEntries);
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (var line in lines.Skip(1))
        {
            var colon = line.IndexOf(':', StringComparison.Ordinal);
            headers.Add(line[..colon], line[(colon + 1)..].Trim());
        }

        return new HttpAnswer(int.Parse(lines[0].Split(' ')[1], CultureInfo.InvariantCulture), headers, []);
    }

    /// <summary>Returns how long the body says it is. The servers of these tests always say it.</summary>
    public int GetLength() => Headers.TryGetValue("Content-Length", out var value) ? int.Parse(value, CultureInfo.InvariantCulture) : 0;
}
