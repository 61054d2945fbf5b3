using System.Globalization;
using System.Net.Sockets;
using System.Text;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples.Support;

/// <summary>The sample <c>samples/RespServer</c> on free ports, for one test or for all tests of a class.</summary>
public sealed class RespServer : IAsyncLifetime
{
    private SampleProcess? _sample;

    internal SampleProcess Sample => _sample!;

    internal int RespPort => Sample.Ports[0];

    internal int HttpPort => Sample.Ports[1];

    public ValueTask InitializeAsync() => InitializeAsync([]);

    public ValueTask DisposeAsync() => _sample?.DisposeAsync() ?? ValueTask.CompletedTask;

    internal static async Task<RespServer> StartAsync(params IEnumerable<string> arguments)
    {
        var server = new RespServer();
        await server.InitializeAsync(arguments);
        return server;
    }

    internal Task<ScriptedPeer> ConnectAsync(Action<Socket>? configure = null) => SampleProcess.ConnectAsync(RespPort, configure);

    /// <summary>Sends everything on a connection of its own, half-closes, and returns everything that came back until the server's FIN.</summary>
    internal async Task<string> ExchangeAsync(ReadOnlyMemory<byte> request)
    {
        await using var peer = await ConnectAsync();
        await peer.SendAsync(request);
        peer.HalfClose();
        return await ReadToFinAsync(peer);
    }

    internal Task<string> ExchangeAsync(string request) => ExchangeAsync(Encoding.Latin1.GetBytes(request));

    internal static async Task<string> ReadToFinAsync(ScriptedPeer peer)
    {
        using var received = new MemoryStream();
        var buffer = new byte[64 * 1024];
        int count;
        while ((count = await peer.ReceiveAsync(buffer)) > 0)
        {
            received.Write(buffer, 0, count);
        }

        return Encoding.Latin1.GetString(received.GetBuffer(), 0, (int)received.Length);
    }

    internal static async Task<string> ReadExactlyAsync(ScriptedPeer peer, int count) => Encoding.Latin1.GetString(await peer.ReadExactlyAsync(count));

    /// <summary>Writes a command as programs send it: an array of bulk strings.</summary>
    internal static string Command(params IReadOnlyList<string> words) =>
        string.Create(CultureInfo.InvariantCulture, $"*{words.Count}\r\n{string.Concat(words.Select(Bulk))}");

    internal static string Bulk(string text) => string.Create(CultureInfo.InvariantCulture, $"${text.Length}\r\n{text}\r\n");

    private async ValueTask InitializeAsync(IEnumerable<string> arguments) =>
        _sample = await SampleProcess.StartAsync("RespServer", ["--Resp:Port", "0", "--Http:Port", "0", .. arguments]);
}
