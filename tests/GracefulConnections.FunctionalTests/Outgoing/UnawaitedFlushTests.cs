using System.Buffers;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary>Who writes many small messages, and awaits no flush, while the peer reads nothing yet.</summary>
public sealed class UnawaitedFlushTests : IDisposable
{
    private const int MessageCount = 3000; // Of a Unix domain socket the kernel holds some hundred.
    private const int MessageBytes = 20; // Kestrel's own connection takes 64 KiB before a flush waits.

    private readonly string _path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.sock");

    public void Dispose() => File.Delete(_path);

    [Fact]
    public async Task PeerReadsLater_GetsEverythingInOrder_AsOnKestrelsOwn()
    {
        var stock = await PlayAsync(static async endPoint =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(endPoint, CancellationToken.None);
            return new SocketConnectionContextFactory(new SocketConnectionFactoryOptions(), NullLogger.Instance).Create(socket);
        });
        await using var services = new ServiceCollection().AddGracefulConnectionFactory().BuildServiceProvider();
        var ours = await PlayAsync(
            endPoint => services.GetRequiredService<IConnectionFactory>().ConnectAsync(endPoint, CancellationToken.None).AsTask());

        Assert.Equal(("", true), stock);
        Assert.Equal(("", true), ours);
    }

    private async Task<(string Thrown, bool IsWhole)> PlayAsync(
        Func<UnixDomainSocketEndPoint, Task<ConnectionContext>> connectAsync)
    {
        File.Delete(_path);
        var endPoint = new UnixDomainSocketEndPoint(_path);
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(endPoint);
        listener.Listen();
        await using var connection = await connectAsync(endPoint).InTimeAsync();
        using var peer = await listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync();
        var written = new byte[MessageCount * MessageBytes];
        new Random(1).NextBytes(written);
        var output = connection.Transport.Output;
        try
        {
            for (var i = 0; i < MessageCount; i++)
            {
                output.Write(written.AsSpan(i * MessageBytes, MessageBytes));
                var flush = output.FlushAsync(CancellationToken.None);
                Assert.False(flush.IsFaulted);
            }

            await output.CompleteAsync();
        }
        catch (InvalidOperationException exception)
        {
            return (exception.Message, false);
        }

        await using var stream = new NetworkStream(peer);
        var received = new MemoryStream();
        await stream.CopyToAsync(received, CancellationToken.None).InTimeAsync();
        peer.Shutdown(SocketShutdown.Send);
        return ("", received.ToArray().AsSpan().SequenceEqual(written));
    }
}
