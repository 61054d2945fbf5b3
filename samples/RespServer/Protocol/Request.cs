using System.Buffers;
using System.Text;

namespace RespServer.Protocol;

/// <summary>A command and its arguments, still in the buffers that they were received in: good until the next read. One object serves all commands of a connection.</summary>
internal sealed class Request
{
    private ReadOnlySequence<byte>[] _arguments = new ReadOnlySequence<byte>[8];

    /// <summary>Gets the number of arguments, the command's name included.</summary>
    public int Count { get; private set; }

    /// <summary>Gets an argument. It is copied only where it lies across two buffers.</summary>
    public ReadOnlySpan<byte> this[int index] => _arguments[index].IsSingleSegment ? _arguments[index].FirstSpan : _arguments[index].ToArray();

    public void Clear() => Count = 0;

    public void Add(ReadOnlySequence<byte> argument)
    {
        if (Count == Limits.MaxArguments)
        {
            throw new ProtocolException($"too many arguments, at most {Limits.MaxArguments} are accepted");
        }

        if (Count == _arguments.Length)
        {
            Array.Resize(ref _arguments, 2 * Count);
        }

        _arguments[Count++] = argument;
    }

    /// <summary>Returns a copy that outlives the request.</summary>
    public byte[] Copy(int index) => _arguments[index].ToArray();

    /// <summary>Returns whether an argument is this word, in upper or lower case.</summary>
    public bool Is(int index, ReadOnlySpan<byte> word) => Ascii.EqualsIgnoreCase(this[index], word);

    /// <summary>Reads an argument as a number.</summary>
    public bool TryGetInteger(int index, out long value) => StrictInteger.TryParse(this[index], out value);

    /// <summary>Returns the beginning of an argument for an error message. It is the client's text: nothing in it may end the line.</summary>
    public string Describe(int index, int maxLength = 128)
    {
        var text = Encoding.Latin1.GetString(_arguments[index].Slice(0, Math.Min(_arguments[index].Length, maxLength)));
        return string.Concat(text.Select(character => char.IsBetween(character, ' ', '~') ? character : '?'));
    }
}
