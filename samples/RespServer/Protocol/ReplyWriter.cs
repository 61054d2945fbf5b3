using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Text;

namespace RespServer.Protocol;

/// <summary>Writes replies. Nothing is sent before a flush.</summary>
internal sealed class ReplyWriter(PipeWriter output)
{
    /// <summary>Gets whether so much was written that it should go before more is.</summary>
    public bool IsFlushDue => output.UnflushedBytes >= Limits.FlushBytes;

    public void WriteOk() => output.Write("+OK\r\n"u8);

    public void WriteSimple(ReadOnlySpan<byte> text)
    {
        output.Write("+"u8);
        output.Write(text);
        output.Write("\r\n"u8);
    }

    /// <summary>Writes an error.</summary>
    /// <param name="message">A code in upper case and a text; without line breaks, which would be the beginning of another reply.</param>
    public void WriteError(string message)
    {
        output.Write("-"u8);
        Encoding.ASCII.GetBytes(message, output);
        output.Write("\r\n"u8);
    }

    public void WriteInteger(long value) => WriteNumber((byte)':', value);

    public void WriteBulk(ReadOnlySpan<byte> bytes)
    {
        WriteNumber((byte)'$', bytes.Length);
        output.Write(bytes);
        output.Write("\r\n"u8);
    }

    /// <summary>Writes a bulk string, or null.</summary>
    public void WriteBulkOrNull(byte[]? bytes)
    {
        if (bytes is null)
        {
            output.Write("$-1\r\n"u8);
        }
        else
        {
            WriteBulk(bytes);
        }
    }

    /// <summary>Begins an array: as many replies follow as <paramref name="count"/> says.</summary>
    public void WriteArray(int count) => WriteNumber((byte)'*', count);

    /// <summary>Writes an array, and sends of it what does not fit into the buffer.</summary>
    public async ValueTask WriteManyAsync(IReadOnlyList<byte[]?> items)
    {
        WriteArray(items.Count);
        foreach (var item in items)
        {
            WriteBulkOrNull(item);
            if (IsFlushDue && !await FlushAsync())
            {
                return; // Nobody is there to miss the rest.
            }
        }
    }

    /// <summary>Sends what was written, and waits while the client does not keep up.</summary>
    /// <returns><see langword="false"/> when the client takes nothing any more.</returns>
    public async ValueTask<bool> FlushAsync() => !(await output.FlushAsync()).IsCompleted;

    private void WriteNumber(byte type, long value)
    {
        var span = output.GetSpan(1 + StrictInteger.MaxBytes + 2);
        span[0] = type;
        value.TryFormat(span[1..], out var length, default, CultureInfo.InvariantCulture);
        "\r\n"u8.CopyTo(span[(1 + length)..]);
        output.Advance(1 + length + 2);
    }
}
