using System.Buffers;
using System.IO.Pipelines;
using System.Net.Security;
using System.Runtime.CompilerServices;
using GracefulConnections.Transport.Tls;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Transport;

/// <summary>The two directions of one connection, made of what its transport offers.</summary>
internal readonly record struct ConnectionTransport(
    ReadPump Input, TransportOutput Output, KernelQueue? Queue, LeftToServerReason ReasonAtStart, bool IsInsideTls)
{
    private const int SegmentBytes = 4096; // What a pipe rents if nobody asks for more.

    // Kestrel's, and not public.
    private const string TlsTransport = "SslDuplexPipe";
    private const string Sockets = "Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets";

    private const string SocketConnectionName = $"{Sockets}.Internal.SocketConnection, {Sockets}";
    private const string Core = "Microsoft.AspNetCore.Server.Kestrel.Core";
    private const string StreamBelowTls = $"{Core}.Internal.DuplexPipeStream, {Core}";

    private static readonly Type? SocketConnection = Type.GetType(SocketConnectionName);
    private static readonly Type? StreamBelow = Type.GetType(StreamBelowTls);
    private static readonly Type? SocketTransport = Type.GetType($"System.IO.Pipelines.DuplexPipe, {Sockets}");

    /// <summary>
    /// Returns why the connection's end is left to the server, which the first send may find out.
    /// </summary>
    public static LeftToServerReason GetReason(LeftToServerReason atStart, TransportOutput output) =>
        atStart == LeftToServerReason.None && !output.CanHalfClose ? LeftToServerReason.WrittenBefore : atStart;

    /// <summary>Makes the two directions.</summary>
    /// <param name="connection">The connection, with the transport in use.</param>
    /// <param name="events">Who is told of them.</param>
    /// <param name="somebodyBefore">Whether a middleware stands before us, and may have written.</param>
    /// <param name="somebodyBehindTls">Whether one stands between TLS and us, and may write behind us.</param>
    public static ConnectionTransport Create(
        ConnectionContext connection,
        ITransportEvents events,
        bool somebodyBefore = false,
        bool somebodyBehindTls = false)
    {
        var transport = connection.Transport;
        var clock = events.Activity.Clock;
        var socket = connection.Find<IConnectionSocketFeature>(); // Each question costs, so each once.
        var queue = socket?.Socket is { } own ? new SocketQueue(own) : connection.Find<KernelQueue>();
        var pool = connection.Find<IMemoryPoolFeature>()?.MemoryPool ?? MemoryPool<byte>.Shared;
        var tls = connection.Find<SslStream>();
        if (tls is not null)
        {
            var isInside = !somebodyBehindTls && IsDirectlyInside(connection, transport);
            var inside = Read(isInside ? InputKind.Tls : InputKind.Foreign);
            var wrappedByTls = queue is null ? null : new WrappedDelivery(queue, isTls: true, clock);
            return isInside
                ? Taken(inside, new SendLoop(
                    OutputPipe.CreateForTls(pool),
                    TlsSink.Create(tls, inside, wrappedByTls, FindBelow(connection, transport)),
                    events))
                : Left(inside, wrappedByTls, LeftToServerReason.Wrapped);
        }

        if (queue is null)
        {
            // No middleware shows itself here. The transport's writer ends the output, as on a transport in memory.
            return Taken(
                Read(InputKind.Transport),
                new PipeOutput(transport.Output, null, isLeftToServer: false, events));
        }

        if (!OwnsSocket(connection, socket, transport))
        {
            return Left(
                Read(InputKind.Foreign),
                new WrappedDelivery(queue, isTls: false, clock),
                LeftToServerReason.Wrapped);
        }

        var input = Read(InputKind.Transport);
        if (!somebodyBefore)
        {
            return Taken(input, Send(queue));
        }

        var passed = new WrappedDelivery(queue, isTls: false, clock);
        return HoldsBytes(transport.Output, pool) || queue.HasSentBefore()
            ? Left(input, passed, LeftToServerReason.WrittenBefore)
            : Taken(input, Send(new FirstSendSink(queue, transport.Output, passed)));

        SendLoop Send(ISendSink sink) =>
            new(OutputPipe.Create(pool, transport.Output, out var sendsInline), sink, events, sendsInline);

        ReadPump Read(InputKind kind) => new(transport.Input, queue, kind, events);

        ConnectionTransport Taken(ReadPump input, TransportOutput output) =>
            new(input, output, queue, LeftToServerReason.None, tls is not null);

        ConnectionTransport Left(ReadPump input, WrappedDelivery? delivery, LeftToServerReason reason) =>
            new(
                input,
                new PipeOutput(transport.Output, delivery, isLeftToServer: true, events),
                queue,
                reason,
                tls is not null);
    }

    // The socket is ours to write to only where that is known: Kestrel's own connection, with the transport that came
    // with it. A byte of ours below TLS would be plaintext on the wire, and below another middleware not what the peer
    // expects. A TLS that shows itself by its handshake only is no exception.
    private static bool OwnsSocket(
        ConnectionContext connection, IConnectionSocketFeature? socket, IDuplexPipe transport) =>
        connection is ISocketOwner owner
            ? ReferenceEquals(transport, owner.OwnTransport)
            : ReferenceEquals(socket, connection)
                && connection.GetType() == SocketConnection
                && transport.GetType() == SocketTransport
                && connection.Find<ITlsHandshakeFeature>() is null;

    // A middleware between TLS and us may still hold what was written, which close_notify would overtake, and reads
    // when it likes, which close_notify must not meet. So the transport in use must be TLS's own. The same make is not
    // enough, because Kestrel's logging may hide what stands behind it. A third-party TLS that sets no
    // ITlsHandshakeFeature cannot be checked, so it is assumed to be directly below us.
    private static bool IsDirectlyInside(ConnectionContext connection, IDuplexPipe transport) =>
        connection.Find<ITlsHandshakeFeature>() is not { } handshake
        || (transport.GetType().Name == TlsTransport
            && transport.GetType().Assembly == handshake.GetType().Assembly);

    // What TLS writes to, if that is Kestrel's own writer to the socket, or ours: once it is empty, the kernel has
    // everything.
    private static PipeWriter? FindBelow(ConnectionContext connection, IDuplexPipe tls)
    {
        try
        {
            return StreamBelow?.IsInstanceOfType(tls) != true ? null
                : OutputOf(tls) is var output && output is SendLoop ? output
                : connection.GetType() == SocketConnection && output == TransportOf(connection).Output ? output
                : null;
        }
        catch (Exception exception) when (exception is MissingMemberException or TypeLoadException)
        {
            return null; // Another Kestrel.
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_originalTransport")]
    private static extern ref IDuplexPipe TransportOf([UnsafeAccessorType(SocketConnectionName)] object connection);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_output")]
    private static extern ref PipeWriter OutputOf([UnsafeAccessorType(StreamBelowTls)] object stream);

    // A pipe that holds bytes offers the rest of their last block, an empty one a whole block. A middleware that has
    // written exactly whole blocks which the server has not sent yet is not seen.
    private static bool HoldsBytes(PipeWriter output, MemoryPool<byte> pool)
    {
        try
        {
            return output.UnflushedBytes > 0 || output.GetMemory().Length < Math.Min(pool.MaxBufferSize, SegmentBytes);
        }
        catch (InvalidOperationException)
        {
            return true; // Somebody has completed it already, so that the server is about to close.
        }
    }
}
