using System.Net;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Listening.Support;

/// <summary>A successor that asks for the listening sockets and does what a test wants. It drops the descriptors.</summary>
internal sealed class FakeSuccessor : IDisposable
{
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);

    public static async Task<FakeSuccessor> ConnectAsync(string path)
    {
        var successor = new FakeSuccessor();
        await successor._socket.ConnectAsync(new UnixDomainSocketEndPoint(path)).InTimeAsync();
        return successor;
    }

    /// <summary>Reads until the predecessor has passed everything.</summary>
    /// <returns>The addresses that it passed.</returns>
    public async Task<List<string>> TakeAsync()
    {
        var addresses = new List<string>();
        Assert.Equal("listener-handover 1", await ReceiveAsync());
        for (var message = await ReceiveAsync(); message != "end"; message = await ReceiveAsync())
        {
            Assert.StartsWith("socket ", message);
            addresses.Add(message["socket ".Length..]);
        }

        return addresses;
    }

    /// <summary>Says that it serves an address, and has started.</summary>
    public async Task SendReadyAsync(EndPoint endPoint) =>
        await _socket.SendAsync(Encoding.UTF8.GetBytes($"ready\n{endPoint}")).InTimeAsync();

    /// <summary>Reads a message; an empty one is the end.</summary>
    public async Task<string> ReceiveAsync()
    {
        var buffer = new byte[4096];
        var count = await _socket.ReceiveAsync(buffer).InTimeAsync();
        return Encoding.UTF8.GetString(buffer, 0, count);
    }

    public void Dispose() => _socket.Dispose();
}
