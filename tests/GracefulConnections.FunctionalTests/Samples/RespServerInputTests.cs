using System.Globalization;
using System.Text;
using GracefulConnections.FunctionalTests.Samples.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>What the sample makes of bytes that come in pieces, are too many, or make no sense.</summary>
public sealed class RespServerInputTests(RespServer server) : IClassFixture<RespServer>
{
    private const int MaxBulkBytes = 1024 * 1024;
    private const string Ok = "+OK\r\n";
    private const string StoreFull = "-OOM command not allowed when used memory > 'maxmemory', which is 67108864 bytes.\r\n";

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(7)]
    [InlineData(61)]
    [InlineData(997)]
    [InlineData(4095)]
    [InlineData(65_537)]
    [InlineData(int.MaxValue)]
    public async Task Pipeline_CutAnywhere_IsAnsweredWholeAndInOrder(int pieceBytes)
    {
        var requests = new StringBuilder();
        var replies = new StringBuilder();
        for (var i = 0; i < 1000; i++)
        {
            var key = string.Create(CultureInfo.InvariantCulture, $"cut:{pieceBytes}:{i}");
            var value = new string((char)('a' + (i % 26)), i % 11);
            requests.Append(i % 2 == 0 ? RespServer.Command("SET", key, value) : RespServer.Command("ECHO", value));
            replies.Append(i % 2 == 0 ? Ok : RespServer.Bulk(value));
        }

        var bytes = Encoding.Latin1.GetBytes(requests.ToString()).AsMemory();
        await using var peer = await server.ConnectAsync();
        var received = RespServer.ReadToFinAsync(peer);
        while (!bytes.IsEmpty)
        {
            var piece = bytes[..Math.Min(pieceBytes, bytes.Length)];
            await peer.SendAsync(piece);
            bytes = bytes[piece.Length..];
        }

        peer.HalfClose();
        Assert.Equal(replies.ToString(), await received);
    }

    [Fact]
    public async Task Values_OfEverySize_ComeBackAsTheyWent()
    {
        int[] sizes = [0, 1, 4095, 4096, 4097, 65_535, 65_536, 300_000, MaxBulkBytes];
        foreach (var size in sizes)
        {
            var value = new byte[size];
            new Random(size).NextBytes(value);
            var text = Encoding.Latin1.GetString(value);

            // The key is long enough to lie across two of the server's buffers.
            var key = new string('k', 5000);
            Assert.Equal(Ok + RespServer.Bulk(text), await server.ExchangeAsync(RespServer.Command("SET", key, text) + RespServer.Command("GET", key)));
        }
    }

    [Theory]
    [InlineData("*1025\r\n", "invalid multibulk length, at most 1024 arguments are accepted")]
    [InlineData("*99999999999\r\n", "invalid multibulk length")]
    [InlineData("*x\r\n", "invalid multibulk length")]
    [InlineData("*\r\n", "invalid multibulk length")]
    [InlineData("*1\rx", "invalid multibulk length")]
    [InlineData("*1\r\n$1048577\r\n", "invalid bulk length, at most 1048576 bytes are accepted")]
    [InlineData("*1\r\n$-1\r\n", "invalid bulk length, at most 1048576 bytes are accepted")]
    [InlineData("*1\r\n$1x\r\n", "invalid bulk length")]
    [InlineData("*1\r\n:1\r\n", "expected '$', got ':'")]
    [InlineData("*1\r\n\u0001", "expected '$', got byte 1")]
    [InlineData("*1\r\n$4\r\nPINGxx", "a bulk string is not followed by CRLF")]
    public async Task Protocol_Violated_IsToldAfterEarlierRepliesAndCloses(string request, string message) =>
        Assert.Equal($"+PONG\r\n-ERR Protocol error: {message}\r\n", await server.ExchangeAsync("PING\r\n" + request));

    [Fact]
    public async Task Inline_TooLong_IsTold()
    {
        const string Error = "-ERR Protocol error: too big inline request, at most 65536 bytes are accepted\r\n";

        Assert.Equal(Error, await server.ExchangeAsync(new string('x', 65_537)));
        Assert.Equal(Error, await server.ExchangeAsync(new string('x', 65_537) + "\r\n"));
        Assert.StartsWith("-ERR unknown command 'xxx", await server.ExchangeAsync(new string('x', 65_535) + "\n"), StringComparison.Ordinal);
        Assert.Equal("-ERR Protocol error: too many arguments, at most 1024 are accepted\r\n", await server.ExchangeAsync($"MGET{string.Concat(Enumerable.Repeat(" x", 1024))}\n"));
    }

    [Fact]
    public async Task Request_TooLong_IsToldAsSoonAsItIsAnnounced()
    {
        var bulk = RespServer.Bulk(new string('x', MaxBulkBytes));

        Assert.Equal(
            "-ERR Protocol error: too big request, at most 4194304 bytes are accepted\r\n",
            await server.ExchangeAsync($"*5\r\n{bulk}{bulk}{bulk}{bulk}$1\r\n"));
    }

    // With stock Kestrel this reply gets lost: the client is still sending when the connection ends.
    [Fact]
    public async Task Limit_ClientStillSending_GetsTheError()
    {
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("*1\r\n$99999999\r\n"u8.ToArray());
        peer.StartUpload();

        Assert.Equal("-ERR Protocol error: invalid bulk length, at most 1048576 bytes are accepted\r\n", await RespServer.ReadToFinAsync(peer));
    }

    [Fact]
    public async Task Arguments_AsManyAsAllowed_AreServed()
    {
        string[] words = ["MGET", .. Enumerable.Repeat("no-such-key", 1023)];
        Assert.Equal($"*1023\r\n{string.Concat(Enumerable.Repeat("$-1\r\n", 1023))}", await server.ExchangeAsync(RespServer.Command(words)));
    }

    [Fact]
    public async Task Append_BeyondTheLongestValue_IsRefused()
    {
        var full = RespServer.Command("SET", "full", new string('x', MaxBulkBytes));
        Assert.Equal(
            Ok + "-ERR string exceeds maximum allowed size (proto-max-bulk-len), which is 1048576 bytes\r\n",
            await server.ExchangeAsync(full + RespServer.Command("APPEND", "full", "x")));
    }

    [Fact]
    public async Task Store_Full_RefusesWritesAndServesReads()
    {
        await using var full = await RespServer.StartAsync();
        await using var peer = await full.ConnectAsync();
        var value = new string('x', MaxBulkBytes);
        var replies = new List<string>();
        for (var i = 0; i < 64; i++)
        {
            await peer.SendAsync(Encoding.Latin1.GetBytes(RespServer.Command("SET", string.Create(CultureInfo.InvariantCulture, $"k{i}"), value)));
            replies.Add(await RespServer.ReadExactlyAsync(peer, i < 63 ? Ok.Length : StoreFull.Length));
        }

        // 63 and what they cost are less than 64 MiB, the 64th is one too many.
        Assert.Equal([.. Enumerable.Repeat(Ok, 63), StoreFull], replies);
        var pair = RespServer.Command("MSET", "k1", "small", "other", value);
        Assert.Equal(StoreFull + ":0\r\n" + ":63\r\n:1\r\n" + Ok, await full.ExchangeAsync($"{pair}EXISTS other\r\nDBSIZE\r\nDEL k0\r\n{pair}"));
    }

    // A few bytes ask for far more than the server should hold for one client: it sends at the client's pace.
    [Fact]
    public async Task Reply_FarLargerThanTheRequest_ArrivesWhole()
    {
        var value = new string('v', MaxBulkBytes);
        string[] words = ["MGET", .. Enumerable.Repeat("large", 100)];
        Assert.Equal(Ok, await server.ExchangeAsync(RespServer.Command("SET", "large", value)));

        var reply = await server.ExchangeAsync(RespServer.Command(words) + string.Concat(Enumerable.Repeat("GET large\r\n", 50)));

        var bulk = RespServer.Bulk(value);
        Assert.Equal("*100\r\n".Length + (150L * bulk.Length), reply.Length);
        Assert.StartsWith("*100\r\n" + bulk, reply, StringComparison.Ordinal);
        Assert.EndsWith(bulk + bulk, reply, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("*")]
    [InlineData("*3\r\n$")]
    [InlineData("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n")]
    [InlineData("PING \"")]
    public async Task Garbage_IsAnErrorOrTheEnd_AndOthersAreServed(string prefix)
    {
        await using var other = await server.ConnectAsync();
        for (var seed = 0; seed < 20; seed++)
        {
            var garbage = new byte[10_000];
            new Random(seed).NextBytes(garbage);

            var reply = await server.ExchangeAsync((byte[])[.. Encoding.Latin1.GetBytes(prefix), .. garbage]);

            Assert.All(reply.Split("\r\n", StringSplitOptions.RemoveEmptyEntries), line => Assert.StartsWith("-ERR ", line, StringComparison.Ordinal));
            Assert.True(reply.Length == 0 || reply.EndsWith("\r\n", StringComparison.Ordinal), reply);
            await other.SendAsync("PING\r\n"u8.ToArray());
            Assert.Equal("+PONG\r\n", await RespServer.ReadExactlyAsync(other, "+PONG\r\n".Length));
        }

        Assert.DoesNotContain("fail:", server.Sample.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Configuration_Wrong_NamesEveryValueAndItsRule()
    {
        await using var sample = SampleProcess.Start("RespServer", "--Resp:Port", "65536", "--Resp:Address", "here", "--Http:Port", "-1", "--Resp:Goodbye", "maybe");

        Assert.Equal(1, await sample.WaitForExitAsync());
        Assert.Equal(
            """
            Resp:Address must be an IP address, but was "here".
            Resp:Port must be a port from 0 (any free one) to 65535, but was "65536".
            Http:Port must be a port from 0 (any free one) to 65535, but was "-1".
            Resp:Goodbye must be true or false, but was "maybe".
            """,
            sample.Log.TrimEnd());
    }
}
