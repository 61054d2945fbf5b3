using System.IO.Pipelines;
using System.Net.Security;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>TLS that sets no feature: nothing but the transport tells of it.</summary>
internal sealed class SilentTlsMiddleware(ConnectionDelegate next)
{
    public async Task OnConnectionAsync(ConnectionContext connection)
    {
        var transport = connection.Transport;
        await using var tls = new SslStream(new TransportStream(transport));
        await tls.AuthenticateAsServerAsync(TestCertificate.Server);
        var secure = new Pair(
            PipeReader.Create(tls, new StreamPipeReaderOptions(leaveOpen: true)),
            PipeWriter.Create(tls, new StreamPipeWriterOptions(leaveOpen: true)));
        connection.Transport = secure;
        try
        {
            await next(connection);
            await secure.Output.CompleteAsync();
            await tls.ShutdownAsync();
        }
        finally
        {
            connection.Transport = transport;
        }
    }

    private sealed record Pair(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
