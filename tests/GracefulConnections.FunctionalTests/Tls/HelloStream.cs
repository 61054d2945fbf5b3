namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>Keeps what is written to it, and has nothing to read: whoever shakes hands over it gets as far as the first message.</summary>
internal sealed class HelloStream : MemoryStream
{
    private readonly MemoryStream _written = new();

    public byte[] Written => _written.ToArray();

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => _written.WriteAsync(buffer, cancellationToken);

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => new(0);
}
