using System.Net;
using System.Net.Sockets;
using GracefulConnections.Outgoing;

namespace GracefulConnections.Tests.Outgoing;

/// <summary>Which socket wins, and what becomes of one that connects at the moment of the end.</summary>
public sealed class ConnectRaceTests : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.sock");

    public ConnectRaceTests()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(_path));
        _listener.Listen();
    }

    public void Dispose()
    {
        _listener.Dispose();
        File.Delete(_path);
    }

    // Nobody else would close it: its peer would see an open connection until the garbage collector comes.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task ConnectAsync_TimeIsUpWhileItConnects_ReturnsTheSocket(bool hasNext)
    {
        using var timeout = new CancellationTokenSource();
        var endPoint = new CancellingEndPoint(_path, timeout);
        var sut = new ConnectRace(
            static target => new Socket(target.AddressFamily, SocketType.Stream, ProtocolType.Unspecified),
            TimeSpan.FromDays(1),
            TimeProvider.System);

        var (socket, remote) = await sut.ConnectAsync(hasNext ? [endPoint, endPoint] : [endPoint], timeout.Token);

        using (socket)
        {
            Assert.Equal((true, true, endPoint), (timeout.IsCancellationRequested, socket.Connected, remote));
        }
    }

    // On a Unix domain socket the connect itself is one call, which looks at no token.
    private sealed class CancellingEndPoint(string path, CancellationTokenSource cancellation) : EndPoint
    {
        public override AddressFamily AddressFamily => AddressFamily.Unix;

        public override SocketAddress Serialize()
        {
            cancellation.Cancel();
            return new UnixDomainSocketEndPoint(path).Serialize();
        }
    }
}
