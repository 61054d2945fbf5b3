using System.Buffers;
using System.IO.Pipelines;
using System.Net.Security;
using System.Runtime.CompilerServices;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Transport;

/// <summary>The two directions of one connection, made of what its transport offers.</summary>
internal readonly record struct ConnectionTransport(InputReader Input, TransportOutput Output, SocketProbe? Probe)
{
    // As Kestrel's defaults: MaxWriteBufferSize is 64 KiB, and half of it resumes.
    private const long PauseWriterThreshold = 64 * 1024;
    private const long ResumeWriterThreshold = PauseWriterThreshold / 2;

    private const string TlsTransport = "SslDuplexPipe"; // Kestrel's, and not public.

    private static readonly ConditionalWeakTable<MemoryPool<byte>, PipeOptions> PipeOptionsByPool = [];

    /// <param name="connection">The connection as its transport made it.</param>
    /// <param name="events">Who is told what happens.</param>
    /// <param name="activity">Where it is noted when bytes went either way; <see langword="null"/> when that is of no interest.</param>
    /// <param name="clock">What time it is.</param>
    public static ConnectionTransport Create(ConnectionContext connection, ITransportEvents events, Activity? activity, TimeProvider clock)
    {
        var transport = connection.Transport;
        var socket = connection.Features.Get<IConnectionSocketFeature>();
        var tls = connection.Features.Get<SslStream>();
        var probe = socket is null ? null : new SocketProbe(socket.Socket);
        var ownsSocket = socket is not null && OwnsSocket(connection, socket, transport);
        var isWrapped = tls is not null || (socket is not null && !ownsSocket);
        var input = new InputReader(transport.Input, probe, isWrapped, events, activity);
        if (!ownsSocket)
        {
            var wrapped = probe is null ? null : new WrappedDelivery(probe, tls is not null, clock);
            var closeNotify = tls is not null && IsDirectlyInside(connection, transport) ? new CloseNotify(tls, input) : null;
            return new ConnectionTransport(input, new PipeOutput(transport.Output, wrapped, closeNotify, events, activity), probe);
        }

        var pool = connection.Features.Get<IMemoryPoolFeature>()?.MemoryPool ?? MemoryPool<byte>.Shared;
        var pipe = new Pipe(PipeOptionsByPool.GetValue(pool, static pool => new PipeOptions(
            pool,
            pauseWriterThreshold: PauseWriterThreshold,
            resumeWriterThreshold: ResumeWriterThreshold,
            useSynchronizationContext: false)));
        return new ConnectionTransport(input, new SocketOutput(pipe, ResumeWriterThreshold, socket!.Socket, probe!, events, activity), probe);
    }

    // The socket is ours to write to only when nothing stands between the transport and us: a byte of ours below TLS would be plaintext on the wire. So not
    // "is there a TLS feature", which misses every other middleware, but: the transport in use is the one that came with the connection.
    private static bool OwnsSocket(ConnectionContext connection, IConnectionSocketFeature socket, IDuplexPipe transport) =>
        ReferenceEquals(socket, connection) && transport.GetType().Assembly == connection.GetType().Assembly;

    // A middleware between TLS and us may still hold what was written, which close_notify would overtake, and reads when it likes, which close_notify must not meet. So the transport in use
    // must be TLS's own: the same make is not enough, since Kestrel's logging may hide what stands behind it. Who brings TLS of another make and tells nothing of it is believed.
    private static bool IsDirectlyInside(ConnectionContext connection, IDuplexPipe transport) =>
        connection.Features.Get<ITlsHandshakeFeature>() is not { } handshake || (transport.GetType().Name == TlsTransport && transport.GetType().Assembly == handshake.GetType().Assembly);
}
