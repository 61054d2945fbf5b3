namespace GracefulConnections.Probe.Wire;

/// <summary>
/// Stands between TLS and the socket and notes how the socket's stream ended. <see
/// cref="System.Net.Security.SslStream"/>
/// returns 0 for close_notify and for a FIN without it. Only here the two can be told apart: at close_notify, this
/// stream has not ended yet.
/// </summary>
internal sealed class RecordStream(Stream inner) : Stream
{
    /// <summary>Gets whether TLS was handed the end of the TCP stream.</summary>
    public bool HasEnded { get; private set; }

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        var read = await inner.ReadAsync(buffer, cancellationToken);
        HasEnded |= read == 0 && !buffer.IsEmpty;
        return read;
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        inner.WriteAsync(buffer, cancellationToken);

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Flush() => inner.Flush();

    public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();
}
