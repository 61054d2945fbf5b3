using System.Text.Json;
using System.Text.RegularExpressions;
using GracefulConnections.Probe.Commands;

namespace GracefulConnections.Probe.Profiles;

/// <summary>
/// Reads a profile from a JSON file: one object of texts and numbers. Every error names the file, the line and the
/// column.
/// </summary>
internal sealed class ProfileFile
{
    private readonly string _path;
    private readonly byte[] _json;
    private readonly HashSet<string> _seen = [];
    private string? _name;
    private ReplyForm? _greeting;
    private byte[]? _request;
    private ReplyForm? _reply;
    private byte[]? _end;
    private Regex? _refusal;
    private int? _half;
    private bool _hasHalf = true;
    private int? _pipelined;

    private ProfileFile(string path, byte[] json)
    {
        _path = path;
        _json = json;
    }

    /// <exception cref="ProbeFailedException">The file cannot be read, or something in it is wrong.</exception>
    public static Profile Read(string path)
    {
        try
        {
            return new ProfileFile(path, File.ReadAllBytes(path)).Parse();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ProbeFailedException(ExitCode.Usage, $"--profile {path}: {exception.Message}");
        }
    }

    private Profile Parse()
    {
        var reader = new Utf8JsonReader(_json,
            new JsonReaderOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
        try
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject)
            {
                throw Error(reader.TokenStartIndex, "a profile is one object { ... }");
            }

            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                ReadProperty(ref reader);
            }

            var end = reader.TokenStartIndex;
            reader.Read(); // Throws if something follows.
            return Create(end);
        }
        catch (JsonException exception)
        {
            var reason = exception.Message.Split(" LineNumber:")[0];
            throw Error((int)(exception.LineNumber ?? 0) + 1, (int)(exception.BytePositionInLine ?? 0) + 1, reason);
        }
    }

    private void ReadProperty(ref Utf8JsonReader reader)
    {
        var name = reader.GetString()!;
        var nameStart = reader.TokenStartIndex;
        if (!_seen.Add(name))
        {
            throw Error(nameStart, $"\"{name}\" is there twice");
        }

        reader.Read();
        var start = reader.TokenStartIndex;
        try
        {
            switch (name)
            {
                case "name": _name = Text(ref reader, name); break;
                case "greeting": _greeting = new PatternReply(Text(ref reader, name)); break;
                case "request": _request = Escapes.ToBytes(Text(ref reader, name)); break;
                case "reply": _reply = new ExactReply(Escapes.ToBytes(Text(ref reader, name))); break;
                case "replyPattern": _reply = new PatternReply(Text(ref reader, name)); break;
                case "end": _end = Escapes.ToBytes(Text(ref reader, name)); break;
                case "refusalPattern":
                    _refusal = new Regex($@"\A(?:{Text(ref reader, name)})", RegexOptions.CultureInvariant); break;
                case "halfBytes": _half = Number(ref reader, name); break;
                case "pipelined": _pipelined = Number(ref reader, name); break;
                case "everyByteIsAMessage": _hasHalf = reader.TokenType == JsonTokenType.False; break;
                default:
                    throw Error(nameStart, $"\"{name}\" is unknown. " +
                    "Known are name, greeting, request, reply, replyPattern, " +
                    "end, refusalPattern, halfBytes, everyByteIsAMessage, pipelined");
            }
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            throw Error(start, exception.Message);
        }
    }

    private Profile Create(long end)
    {
        var request = _request is { Length: > 0 } some ? some : throw Error(end, "\"request\" is missing or empty");
        if (_half is { } half && half >= request.Length)
        {
            throw Error(end, $"\"halfBytes\" must be less than the request's {request.Length} bytes, but was {half}");
        }

        return new Profile
        {
            Name = _name ?? Path.GetFileNameWithoutExtension(_path),
            Greeting = _greeting,
            Request = request,
            Reply = _reply ?? new UnknownReply(),
            Ending = _end,
            Refusal = _refusal,
            HalfBytes = _hasHalf && request.Length > 1 ? _half ?? (request.Length / 2) : null,
            MaxPipelined = _pipelined ?? 100_000,
        };
    }

    private string Text(ref Utf8JsonReader reader, string name) => reader.TokenType == JsonTokenType.String
        ? reader.GetString()!
        : throw Error(reader.TokenStartIndex, $"\"{name}\" must be a text");

    private int Number(ref Utf8JsonReader reader, string name) =>
        reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out var number) && number > 0
            ? number
            : throw Error(reader.TokenStartIndex, $"\"{name}\" must be a whole number of at least 1");

    private ProbeFailedException Error(long position, string message)
    {
        var before = _json.AsSpan(0, (int)position);
        var line = before.Count((byte)'\n') + 1;
        return Error(line, (int)position - before.LastIndexOf((byte)'\n'), message);
    }

    private ProbeFailedException Error(int line, int column, string message) =>
        new(ExitCode.Usage, $"{_path}:{line}:{column}: {message.TrimEnd('.')}.");
}
