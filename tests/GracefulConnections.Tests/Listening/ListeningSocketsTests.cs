using System.Net;
using System.Net.Sockets;
using System.Runtime.Versioning;
using GracefulConnections.Listening;
using GracefulConnections.Tests.Support;

namespace GracefulConnections.Tests.Listening;

[UnsupportedOSPlatform("windows")]
public sealed class ListeningSocketsTests : IDisposable
{
    private readonly RecordingLogger _logger = new();
    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);

    public ListeningSocketsTests()
    {
        _socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _socket.Listen();
    }

    public void Dispose() => _socket.Dispose();

    // The application may have its number from LISTEN_FDS, and accept from it without Kestrel.
    [Fact]
    public void Open_SocketOfTheUnitThatNoEndpointAskedFor_StaysOpen()
    {
        var number = Open(isOfUnit: true);

        Assert.Equal($"{_socket.LocalEndPoint}", ListeningSocket.AddressOf(number));
        Assert.Equal(["SocketsLeft"], _logger.Events);
        using var own = new Descriptor(number);
    }

    [Fact]
    public void Open_OtherSocketThatNoEndpointAskedFor_IsClosed()
    {
        Open(isOfUnit: false);

        Assert.Equal(["SocketsUnclaimed"], _logger.Events);
    }

    private int Open(bool isOfUnit)
    {
        var sut = new ListeningSockets(_logger);
        var passed = new ListeningSocket(Descriptor.DuplicateOf(_socket), $"{_socket.LocalEndPoint}") { IsOfUnit = isOfUnit };
        var number = passed.Descriptor.Value;
        sut.AddPassed(passed);

        sut.Open(manager: null);

        Assert.True(passed.Descriptor.IsInvalid || passed.Descriptor.IsClosed);
        return number;
    }
}
