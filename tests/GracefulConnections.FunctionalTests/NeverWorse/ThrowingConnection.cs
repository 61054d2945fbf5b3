using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>A connection of a transport that throws at every call.</summary>
internal sealed class ThrowingConnection : ConnectionContext, IDuplexPipe
{
    public ThrowingConnection() => Transport = this;

    public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

    public override IDuplexPipe Transport { get; set; }

    public PipeReader Input { get; } = new Reader();

    public PipeWriter Output { get; } = new Writer();

    public override void Abort(ConnectionAbortedException abortReason) => throw Fault();

    private static InvalidTimeZoneException Fault() => new("The transport's own.");

    private sealed class Reader : PipeReader
    {
        public override void AdvanceTo(SequencePosition consumed) => throw Fault();

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => throw Fault();

        public override void CancelPendingRead() => throw Fault();

        public override void Complete(Exception? exception = null) => throw Fault();

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => throw Fault();

        public override bool TryRead(out ReadResult result) => throw Fault();
    }

    private sealed class Writer : PipeWriter
    {
        public override void Advance(int bytes) => throw Fault();

        public override void CancelPendingFlush() => throw Fault();

        public override void Complete(Exception? exception = null) => throw Fault();

        public override ValueTask<FlushResult> FlushAsync(CancellationToken cancellationToken = default) => throw Fault();

        public override Memory<byte> GetMemory(int sizeHint = 0) => throw Fault();

        public override Span<byte> GetSpan(int sizeHint = 0) => throw Fault();
    }
}
