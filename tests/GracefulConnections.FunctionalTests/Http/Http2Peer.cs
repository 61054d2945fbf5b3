using System.Buffers.Binary;
using System.Net.Security;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>A peer that speaks HTTP/2 frame by frame, so that a test sees GOAWAY and what comes after it.</summary>
internal sealed class Http2Peer(HttpPeer peer, bool withTls) : IAsyncDisposable
{
    private const int WindowBytes = 64 * 1024 * 1024; // Never in the way.

    // ":method: GET", ":scheme", ":path: /" of HPACK's static table, and ":authority" with "localhost" written out (RFC 7541, appendix A).
    private readonly byte[] _getHeaders = [0x82, withTls ? (byte)0x87 : (byte)0x86, 0x84, 0x41, 9, .. "localhost"u8];

    private int _lastStreamId = -1;

    public static async Task<Http2Peer> ConnectAsync(TestServer server, TlsPlacement placement)
    {
        var peer = new Http2Peer(await HttpPeer.ConnectAsync(server, placement, SslApplicationProtocol.Http2), placement != TlsPlacement.Plaintext);
        await peer.GreetAsync();
        return peer;
    }

    /// <summary>Sends a request on a stream of its own.</summary>
    /// <returns>The stream.</returns>
    public async Task<int> GetAsync()
    {
        _lastStreamId += 2;
        await SendAsync(Http2Frame.Headers, Http2Frame.EndStream | Http2Frame.EndHeaders, _lastStreamId, _getHeaders);
        return _lastStreamId;
    }

    /// <summary>Waits until the server has answered everything before.</summary>
    public async Task PingAsync()
    {
        await SendAsync(Http2Frame.Ping, 0, 0, new byte[8]);
        while ((await ReadAsync()).Type != Http2Frame.Ping)
        {
            // What else the server says at the beginning.
        }
    }

    public async Task<Http2Frame> ReadAsync()
    {
        var head = await peer.ReadExactlyAsync(Http2Frame.HeadBytes);
        var length = (head[0] << 16) | BinaryPrimitives.ReadUInt16BigEndian(head.AsSpan(1));
        return new Http2Frame(head[3], head[4], BinaryPrimitives.ReadInt32BigEndian(head.AsSpan(5)), await peer.ReadExactlyAsync(length));
    }

    /// <summary>Reads frames until one is <paramref name="last"/>.</summary>
    public async Task<List<Http2Frame>> ReadUntilAsync(Func<Http2Frame, bool> last)
    {
        var frames = new List<Http2Frame>();
        do
        {
            frames.Add(await ReadAsync());
        }
        while (!last(frames[^1]));

        return frames;
    }

    public Task<(long Bytes, PeerSaw End)> ReadToEndAsync() => peer.ReadToEndAsync();

    public Task HalfCloseAsync() => peer.HalfCloseAsync();

    public ValueTask DisposeAsync() => peer.DisposeAsync();

    private async Task GreetAsync()
    {
        await peer.SendAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

        // SETTINGS_INITIAL_WINDOW_SIZE for the streams, and an update for the connection.
        var settings = new byte[6];
        settings[1] = 4;
        BinaryPrimitives.WriteInt32BigEndian(settings.AsSpan(2), WindowBytes);
        await SendAsync(Http2Frame.Settings, 0, 0, settings);
        await SendAsync(Http2Frame.WindowUpdate, 0, 0, settings[2..]);
        while (await ReadAsync() is not { Type: Http2Frame.Settings, Flags: 0 })
        {
            // Other greetings.
        }

        await SendAsync(Http2Frame.Settings, Http2Frame.Acknowledgement, 0, []);
    }

    private async Task SendAsync(byte type, int flags, int streamId, byte[] payload)
    {
        var frame = new byte[Http2Frame.HeadBytes + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(frame.AsSpan(1), (ushort)payload.Length);
        frame[3] = type;
        frame[4] = (byte)flags;
        BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), streamId);
        payload.CopyTo(frame, Http2Frame.HeadBytes);
        await peer.SendAsync(frame);
    }
}
