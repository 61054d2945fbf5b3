using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>
/// A transport that brings its own TLS, in one assembly and with no feature that tells of it. It shows the socket below,
/// as others do.
/// </summary>
internal sealed class SecureTransport : IConnectionListenerFactory
{
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(endpoint);
        socket.Listen();
        return ValueTask.FromResult<IConnectionListener>(new Listener(socket));
    }

    private sealed class Listener(Socket socket) : IConnectionListener
    {
        public EndPoint EndPoint { get; } = socket.LocalEndPoint!;

        public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            try
            {
                var accepted = await socket.AcceptAsync(cancellationToken);
                var tls = new SslStream(new NetworkStream(accepted, ownsSocket: true));
                await tls.AuthenticateAsServerAsync(TestCertificate.Server);
                return new Connection(accepted, tls);
            }
            catch (SocketException)
            {
                return null; // It was unbound.
            }
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            socket.Dispose();
            return default;
        }

        public ValueTask DisposeAsync() => UnbindAsync();
    }

    private sealed class Connection : ConnectionContext, IConnectionSocketFeature, IDuplexPipe
    {
        private readonly SslStream _tls;

        public Connection(Socket socket, SslStream tls)
        {
            _tls = tls;
            Socket = socket;
            Input = PipeReader.Create(tls, new StreamPipeReaderOptions(leaveOpen: true));
            Output = PipeWriter.Create(tls, new StreamPipeWriterOptions(leaveOpen: true));
            Transport = this;
            Features.Set<IConnectionSocketFeature>(this);
        }

        public Socket Socket { get; }

        public PipeReader Input { get; }

        public PipeWriter Output { get; }

        public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

        public override IFeatureCollection Features { get; } = new FeatureCollection();

        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();

        public override IDuplexPipe Transport { get; set; }

        public override void Abort(ConnectionAbortedException abortReason) => Socket.Close(0);

        public override async ValueTask DisposeAsync()
        {
            try
            {
                await Output.CompleteAsync();
                await _tls.ShutdownAsync();
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException)
            {
                // The peer has gone, or it was aborted.
            }

            await Input.CompleteAsync();
            await _tls.DisposeAsync();
            await base.DisposeAsync();
        }
    }
}
