using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Tests.Support;

/// <summary>A custom transport that throws at one of the calls of its reader, its writer or its abort.</summary>
internal sealed class ThrowingConnection : ConnectionContext, IDuplexPipe
{
    private readonly InMemoryConnection _inner;
    private readonly Thrower? _ofAbort;

    public ThrowingConnection(InMemoryConnection inner, Thrower? ofReader, Thrower? ofWriter, Thrower? ofAbort)
    {
        _inner = inner;
        _ofAbort = ofAbort;
        var (input, output) = (inner.Transport.Input, inner.Transport.Output);
        Input = ofReader is null ? input : new ThrowingReader(input, ofReader);
        Output = ofWriter is null ? output : new ThrowingWriter(output, ofWriter);
        Transport = this;
    }

    public PipeReader Input { get; }

    public PipeWriter Output { get; }

    public override string ConnectionId { get; set; } = "throwing";

    public override IFeatureCollection Features => _inner.Features;

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public override IDuplexPipe Transport { get; set; }

    public override CancellationToken ConnectionClosed
    {
        get => _inner.ConnectionClosed;
        set => _inner.ConnectionClosed = value;
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        _ofAbort?.Call();
        _inner.Abort(abortReason);
    }
}
