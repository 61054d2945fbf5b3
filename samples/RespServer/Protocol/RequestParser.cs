using System.Buffers;

namespace RespServer.Protocol;

/// <summary>
/// Takes commands off the front of a buffer: arrays of bulk strings as programs send them, and lines as people type them.
/// See https://redis.io/docs/latest/develop/reference/protocol-spec/.
/// </summary>
internal static class RequestParser
{
    private const int MaxLengthDigits = 9; // Far above every limit, and it fits into an int.

    /// <summary>Takes one command.</summary>
    /// <returns><see langword="false"/> when its end has not arrived; the buffer is then as it was.</returns>
    /// <exception cref="ProtocolException">There is no way to go on reading from this client. A limit is enforced as soon as its excess is announced, and not when it has been buffered.</exception>
    public static bool TryParse(ref ReadOnlySequence<byte> buffer, Request request)
    {
        request.Clear();
        var reader = new SequenceReader<byte>(buffer);
        if (!(reader.IsNext((byte)'*', advancePast: true) ? TryReadArray(ref reader, request) : TryReadLine(ref reader, request)))
        {
            return false;
        }

        buffer = reader.UnreadSequence;
        return true;
    }

    private static bool TryReadArray(ref SequenceReader<byte> reader, Request request)
    {
        if (!TryReadLength(ref reader, "multibulk", out var count))
        {
            return false;
        }

        if (count > Limits.MaxArguments)
        {
            throw new ProtocolException($"invalid multibulk length, at most {Limits.MaxArguments} arguments are accepted");
        }

        var requestBytes = 0;
        for (var i = 0; i < count; i++)
        {
            if (!TryReadBulk(ref reader, ref requestBytes, out var argument))
            {
                return false;
            }

            request.Add(argument);
        }

        return true;
    }

    private static bool TryReadBulk(ref SequenceReader<byte> reader, ref int requestBytes, out ReadOnlySequence<byte> argument)
    {
        argument = default;
        if (!reader.TryRead(out var type))
        {
            return false;
        }

        if (type != '$')
        {
            throw new ProtocolException($"expected '$', got {(char.IsBetween((char)type, ' ', '~') ? $"'{(char)type}'" : $"byte {type}")}");
        }

        if (!TryReadLength(ref reader, "bulk", out var length))
        {
            return false;
        }

        if (length is < 0 or > Limits.MaxBulkBytes)
        {
            throw new ProtocolException($"invalid bulk length, at most {Limits.MaxBulkBytes} bytes are accepted");
        }

        requestBytes += length;
        if (requestBytes > Limits.MaxRequestBytes)
        {
            throw new ProtocolException($"too big request, at most {Limits.MaxRequestBytes} bytes are accepted");
        }

        if (reader.Remaining < length + "\r\n".Length)
        {
            return false;
        }

        argument = reader.UnreadSequence.Slice(0, length);
        reader.Advance(length);
        return reader.IsNext("\r\n"u8, advancePast: true) ? true : throw new ProtocolException("a bulk string is not followed by CRLF");
    }

    private static bool TryReadLength(ref SequenceReader<byte> reader, string what, out int length)
    {
        length = 0;
        var isNegative = reader.IsNext((byte)'-', advancePast: true);
        for (var digits = 0; reader.TryRead(out var next); digits++)
        {
            if (next == '\r' && digits > 0)
            {
                if (reader.TryPeek(out next) && next != '\n')
                {
                    break;
                }

                length = isNegative ? -length : length;
                return reader.IsNext((byte)'\n', advancePast: true);
            }

            if (!char.IsAsciiDigit((char)next) || digits == MaxLengthDigits)
            {
                throw new ProtocolException($"invalid {what} length");
            }

            length = (length * 10) + (next - '0');
        }

        return reader.End ? false : throw new ProtocolException($"invalid {what} length");
    }

    private static bool TryReadLine(ref SequenceReader<byte> reader, Request request)
    {
        var isWhole = reader.TryReadTo(out ReadOnlySequence<byte> line, (byte)'\n');
        if ((isWhole ? line.Length : reader.Remaining) > Limits.MaxInlineBytes)
        {
            throw new ProtocolException($"too big inline request, at most {Limits.MaxInlineBytes} bytes are accepted");
        }

        if (isWhole)
        {
            InlineRequest.Split(line.ToArray(), request);
        }

        return isWhole;
    }
}
