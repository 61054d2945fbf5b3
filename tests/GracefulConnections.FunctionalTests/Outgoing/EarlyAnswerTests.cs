using System.Net;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.FunctionalTests.Outgoing;

/// <summary>A client whose server answers before it has read the request, and goes, beside a plain socket.</summary>
public sealed class EarlyAnswerTests : IDisposable
{
    private const int AnswerBytes = 50_000; // Fits into the receive window, so that it is there when the peer goes.

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly ServiceProvider _services =
        new ServiceCollection().AddGracefulConnectionFactory().BuildServiceProvider();

    public EarlyAnswerTests()
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen();
    }

    public void Dispose()
    {
        _listener.Dispose();
        _services.Dispose();
    }

    // A server that answers a request before all of it has come, and goes: a client that learns it by a write which
    // fails reads the answer that is there, as from every socket.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task PeerAnswersEndsAndIsGone_SendFails_AnswerIsReadToItsEnd(bool isGraceful)
    {
        using var socket = await ConnectSocketAsync();
        await using var stream = new NetworkStream(socket);
        await AnswerAndGoAsync(unreadBytes: 0);
        await Assert.ThrowsAsync<SocketException>(() => SendForEverAsync(() => socket.SendAsync(new byte[1000])));
        var stock = await ReadToEndAsync(stream);

        await using var connection = await ConnectAsync();
        await AnswerAndGoAsync(unreadBytes: 0);
        (long Bytes, Exception? End) ours = default;
        await (isGraceful ? connection.RunHandlerAsync(TalkAsync) : TalkAsync(connection)).InTimeAsync();

        Assert.Equal((AnswerBytes, null), stock);
        Assert.Equal((AnswerBytes, null), ours);

        async Task TalkAsync(ConnectionContext connection) => ours = await TalkUntilResetAsync(connection);
    }

    // The same from a server that has not read all of the request: there is no FIN. A plain socket says that it ends.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task PeerAnswersAndResets_SendFails_AnswerIsReadAndNoEnd(bool isGraceful)
    {
        using var socket = await ConnectSocketAsync();
        await using var stream = new NetworkStream(socket);
        await socket.SendAsync(new byte[1]);
        await AnswerAndGoAsync(unreadBytes: 1);
        await Assert.ThrowsAsync<SocketException>(() => SendForEverAsync(() => socket.SendAsync(new byte[1000])));
        var stock = await ReadToEndAsync(stream);

        await using var connection = await ConnectAsync();
        await connection.SendAsync(1);
        await AnswerAndGoAsync(unreadBytes: 1);
        (long Bytes, Exception? End) ours = default;
        await (isGraceful ? connection.RunHandlerAsync(TalkAsync) : TalkAsync(connection)).InTimeAsync();

        Assert.Equal((AnswerBytes, null), stock);
        Assert.Equal(AnswerBytes, ours.Bytes);
        Assert.IsType<ConnectionResetException>(ours.End);

        async Task TalkAsync(ConnectionContext connection) => ours = await TalkUntilResetAsync(connection);
    }

    private static async Task<(long Bytes, Exception? End)> TalkUntilResetAsync(ConnectionContext connection)
    {
        // Kestrel's own writer tells of it by a result, and the library's as it does.
        await Assert.ThrowsAnyAsync<IOException>(() => SendForEverAsync(async () =>
        {
            if ((await connection.SendAsync(1000)).IsCompleted)
            {
                throw new IOException("The writer has ended.");
            }
        }));
        return await ReadToEndAsync(connection.Transport.Input.AsStream());
    }

    private static async Task SendForEverAsync(Func<Task> send)
    {
        while (true)
        {
            await send();
        }
    }

    private static async Task<(long Bytes, Exception? End)> ReadToEndAsync(Stream stream)
    {
        var (bytes, buffer) = (0L, new byte[4096]);
        try
        {
            int read;
            while ((read = await stream.ReadAsync(buffer).AsTask().InTimeAsync()) > 0)
            {
                bytes += read;
            }

            return (bytes, null);
        }
        catch (IOException exception)
        {
            return (bytes, exception);
        }
    }

    private async Task AnswerAndGoAsync(int unreadBytes)
    {
        await using var peer = await AcceptAsync();
        await Eventually.IsTrueAsync(() => peer.Socket.Available == unreadBytes);
        await peer.SendAsync(new byte[AnswerBytes]);
        peer.Socket.Close();
    }

    private async Task<Socket> ConnectSocketAsync()
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(_listener.LocalEndPoint!, CancellationToken.None).AsTask().InTimeAsync();
        return socket;
    }

    private Task<ConnectionContext> ConnectAsync() => _services.GetRequiredService<IConnectionFactory>()
        .ConnectAsync(_listener.LocalEndPoint!, CancellationToken.None).AsTask().InTimeAsync();

    private async Task<ScriptedPeer> AcceptAsync() =>
        new(await _listener.AcceptAsync(CancellationToken.None).AsTask().InTimeAsync());
}
