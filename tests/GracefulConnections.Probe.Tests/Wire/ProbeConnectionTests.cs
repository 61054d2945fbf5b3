using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.Probe.Tests.Support;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Tests.Wire;

/// <summary>What the probe's own side of a connection must not do.</summary>
public sealed class ProbeConnectionTests
{
    private const int MoreThanKernelsHold = 64 * 1024 * 1024;
    private static readonly TimeSpan UntilItBlocks = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task SendAsync_CancelledInsideOfTls_LeavesNoHalfRecord()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Server.ReceiveBufferSize = 4096; // So that the send blocks soon.
        listener.Start();
        var accepting = AcceptAsync(listener);
        await using var connection = await ConnectAsync(((IPEndPoint)listener.LocalEndpoint).Port);
        await using var server = await accepting.WaitAsync(Probing.Limit, TestContext.Current.CancellationToken);
        using var enough = new CancellationTokenSource(UntilItBlocks);

        Assert.False(await connection.SendAsync(new byte[MoreThanKernelsHold], enough.Token));
        var reading = ReadToEndAsync(server);
        await connection.SendFinAsync();

        Assert.InRange(await reading.WaitAsync(Probing.Limit, TestContext.Current.CancellationToken), connection.SentBytes, MoreThanKernelsHold);
    }

    private static async Task<SslStream> AcceptAsync(TcpListener listener)
    {
        var server = new SslStream(new NetworkStream(await listener.AcceptSocketAsync(), ownsSocket: true));
        await server.AuthenticateAsServerAsync(TestCertificate.Server);
        return server;
    }

    private static async Task<ProbeConnection> ConnectAsync(int port)
    {
        var options = Probing.CreateOptions(port, tls: true);
        var settings = new ConnectionSettings(options.Target, options.Tls, Probing.Limit, TimeProvider.System);
        return await ProbeConnection.ConnectAsync(
            settings, new Timeline(TimeProvider.System), ProbeConnection.SmallWindowBytes, CancellationToken.None);
    }

    // Throws on what is no TLS, and at a TCP stream that ends without close_notify in the middle of a record.
    private static async Task<long> ReadToEndAsync(SslStream server)
    {
        var buffer = new byte[64 * 1024];
        var total = 0L;
        while (await server.ReadAsync(buffer) is var read and > 0)
        {
            total += read;
        }

        return total;
    }
}
