using System.Net;
using System.Net.Security;
using GracefulConnections.Benchmarks.Load;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>
/// Connect, one request, one reply, and the server closes: its handler returns. The peer reads to the end and then closes, so that on both servers it is the server's
/// side that ends in TIME_WAIT, and the peer's ports are free again at once.
/// </summary>
internal sealed class ConnectBenchmark(bool usesTls) : LoadBenchmark
{
    private const int MessageBytes = 64;

    private static readonly byte[] Reply = new byte[MessageBytes];

    public override string Name => UsesTls ? "tls-connect" : "connect";

    public override string Description => $"connect, {(UsesTls ? "TLS handshake, " : "")}{MessageBytes} bytes of request, {MessageBytes} bytes of reply, closed by the server";

    protected override bool UsesTls => usesTls;

    protected override string Unit => "connection";

    protected override async Task ServeAsync(ConnectionContext connection)
    {
        var input = connection.Transport.Input;
        var request = await input.ReadAtLeastAsync(MessageBytes);
        input.AdvanceTo(request.Buffer.End);
        await connection.Transport.Output.WriteAsync(Reply);
    }

    protected override ILoad CreateLoad(IPEndPoint endPoint, SslClientAuthenticationOptions? tls) => new ConnectLoad(endPoint, tls, MessageBytes);
}
