using System.Globalization;
using System.Text;

namespace GracefulConnections.Probe.Profiles;

/// <summary>A reply of HTTP/1.1 to a GET (RFC 9112, section 6.3).</summary>
internal sealed class HttpReply : ReplyForm
{
    private const int MostHeaderBytes = 64 * 1024;
    private const int NoBodyStatus = 204;
    private const int NotModifiedStatus = 304;
    private static readonly byte[] Start = "HTTP/1."u8.ToArray();

    public override int Measure(ReadOnlySpan<byte> received)
    {
        var common = Math.Min(received.Length, Start.Length);
        if (!received[..common].SequenceEqual(Start.AsSpan(0, common)))
        {
            return Foreign;
        }

        var header = ReadHeader(received);
        if (header is null)
        {
            return received.Length > MostHeaderBytes ? Foreign : Incomplete;
        }

        var status = ReadStatus(header);
        var headerBytes = header.Length;
        if (status is < 100 or NoBodyStatus or NotModifiedStatus)
        {
            return status < 100 ? Foreign : headerBytes;
        }

        if (FindField(header, "Transfer-Encoding")?.EndsWith("chunked", StringComparison.OrdinalIgnoreCase) == true)
        {
            var body = MeasureChunks(received[headerBytes..]);
            return body > 0 ? headerBytes + body : body;
        }

        // A body that ends with the connection has no length of its own: nobody could say what is missing.
        return int.TryParse(FindField(header, "Content-Length"), CultureInfo.InvariantCulture, out var length)
            ? (received.Length >= headerBytes + length ? headerBytes + length : Incomplete)
            : Foreign;
    }

    public override bool IsLast(ReadOnlySpan<byte> reply) =>
        ReadHeader(reply) is { } header &&
        FindField(header, "Connection")?.Contains("close", StringComparison.OrdinalIgnoreCase) == true;

    public override bool IsRefusal(ReadOnlySpan<byte> reply) =>
        ReadHeader(reply) is { } header && ReadStatus(header) >= 400;

    public override string ToString() => "a reply of HTTP/1.1 with Content-Length or chunks";

    private static string? ReadHeader(ReadOnlySpan<byte> received)
    {
        var end = received.IndexOf("\r\n\r\n"u8);
        return end < 0 ? null : Encoding.Latin1.GetString(received[..(end + 4)]);
    }

    private static int ReadStatus(string header) =>
        header.Length > 12 && int.TryParse(header.AsSpan(9, 3), CultureInfo.InvariantCulture, out var status)
            ? status : 0;

    private static string? FindField(string header, string name)
    {
        foreach (var line in header.Split("\r\n").Skip(1))
        {
            if (line.StartsWith($"{name}:", StringComparison.OrdinalIgnoreCase))
            {
                return line[(name.Length + 1)..].Trim();
            }
        }

        return null;
    }

    private static int MeasureChunks(ReadOnlySpan<byte> body)
    {
        var position = 0;
        while (true)
        {
            var lineEnd = body[position..].IndexOf("\r\n"u8);
            if (lineEnd < 0)
            {
                return Incomplete;
            }

            var line = Encoding.Latin1.GetString(body.Slice(position, lineEnd)).Split(';')[0];
            if (!int.TryParse(line, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var size))
            {
                return Foreign;
            }

            var next = position + lineEnd + 2 + size + 2;
            if (next > body.Length)
            {
                return Incomplete;
            }

            if (size == 0)
            {
                return next; // Without trailer fields, which no server sends unasked.
            }

            position = next;
        }
    }
}
