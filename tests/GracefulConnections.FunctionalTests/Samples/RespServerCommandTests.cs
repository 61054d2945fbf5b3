using System.Globalization;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>Each command of the sample, by the bytes of its replies. One at a time: they share a store.</summary>
[Collection(SerialTests.Name)]
public sealed class RespServerCommandTests(RespServer server) : IClassFixture<RespServer>
{
    private const string Ok = "+OK\r\n";
    private const string Null = "$-1\r\n";
    private const string NotAnInteger = "-ERR value is not an integer or out of range\r\n";
    private const string Syntax = "-ERR syntax error\r\n";

    // Commands are separated by bars, their words by spaces; an empty word is an empty string. The store is empty before each row.
    [Theory]
    [InlineData("PING", "+PONG\r\n")]
    [InlineData("ping", "+PONG\r\n")]
    [InlineData("PING hello", "$5\r\nhello\r\n")]
    [InlineData("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n")]
    [InlineData("ECHO hello", "$5\r\nhello\r\n")]
    [InlineData("ECHO ", "$0\r\n\r\n")]
    [InlineData("ECHO", "-ERR wrong number of arguments for 'echo' command\r\n")]
    [InlineData("SET k v|GET k", Ok + "$1\r\nv\r\n")]
    [InlineData("SET  |GET ", Ok + "$0\r\n\r\n")]
    [InlineData("GET k", Null)]
    [InlineData("GET", "-ERR wrong number of arguments for 'get' command\r\n")]
    [InlineData("GET k l", "-ERR wrong number of arguments for 'get' command\r\n")]
    [InlineData("SET k", "-ERR wrong number of arguments for 'set' command\r\n")]
    [InlineData("SET k 1 NX|SET k 2 NX|GET k", Ok + Null + "$1\r\n1\r\n")]
    [InlineData("SET k 1 XX|SET k 2|SET k 3 xx|GET k", Null + Ok + Ok + "$1\r\n3\r\n")]
    [InlineData("SET k v EX 100 NX|TTL k|SET k w|TTL k", Ok + ":100\r\n" + Ok + ":-1\r\n")]
    [InlineData("SET k v px 100000|TTL k", Ok + ":100\r\n")]
    [InlineData("SET k v NX XX", Syntax)]
    [InlineData("SET k v EX 1 PX 1", Syntax)]
    [InlineData("SET k v EX", Syntax)]
    [InlineData("SET k v KEEPTTL", Syntax)]
    [InlineData("SET k v EX x|GET k", NotAnInteger + Null)]
    [InlineData("SET k v EX 1.5", NotAnInteger)]
    [InlineData("SET k v EX 0", "-ERR invalid expire time in 'set' command\r\n")]
    [InlineData("SET k v PX -1", "-ERR invalid expire time in 'set' command\r\n")]
    [InlineData("SET k v EX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n")]
    [InlineData("SET k v EX 9223372036854775808", NotAnInteger)]
    [InlineData("SET a 1|SET b 2|DEL a b c a|GET a", Ok + Ok + ":2\r\n" + Null)]
    [InlineData("DEL", "-ERR wrong number of arguments for 'del' command\r\n")]
    [InlineData("SET a 1|EXISTS a b a", Ok + ":2\r\n")]
    [InlineData("INCR n|INCR n|DECR n|DECR n|DECR n|GET n", ":1\r\n:2\r\n:1\r\n:0\r\n:-1\r\n$2\r\n-1\r\n")]
    [InlineData("SET n 9223372036854775806|INCR n|INCR n|GET n", Ok + ":9223372036854775807\r\n-ERR increment or decrement would overflow\r\n$19\r\n9223372036854775807\r\n")]
    [InlineData("SET n -9223372036854775808|DECR n", Ok + "-ERR increment or decrement would overflow\r\n")]
    [InlineData("SET n 9223372036854775808|INCR n", Ok + NotAnInteger)]
    [InlineData("SET n x|INCR n|SET n +1|INCR n|SET n 01|INCR n|SET n |INCR n", Ok + NotAnInteger + Ok + NotAnInteger + Ok + NotAnInteger + Ok + NotAnInteger)]
    [InlineData("SET n 1 EX 100|INCR n|TTL n", Ok + ":2\r\n:100\r\n")]
    [InlineData("APPEND k ab|APPEND k |APPEND k cd|GET k", ":2\r\n:2\r\n:4\r\n$4\r\nabcd\r\n")]
    [InlineData("SET k v EX 100|APPEND k w|TTL k", Ok + ":2\r\n:100\r\n")]
    [InlineData("MSET a 1 b 2|MGET a x b", Ok + "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n")]
    [InlineData("MSET a 1 b", "-ERR wrong number of arguments for 'mset' command\r\n")]
    [InlineData("MGET", "-ERR wrong number of arguments for 'mget' command\r\n")]
    [InlineData("EXPIRE k 100|TTL k", ":0\r\n:-2\r\n")]
    [InlineData("SET k v|TTL k|EXPIRE k 100|TTL k|GET k", Ok + ":-1\r\n:1\r\n:100\r\n$1\r\nv\r\n")]
    [InlineData("SET k v|EXPIRE k 0|GET k|DEL k|DBSIZE", Ok + ":1\r\n" + Null + ":0\r\n:0\r\n")]
    [InlineData("SET k v|EXPIRE k -1|EXISTS k", Ok + ":1\r\n:0\r\n")]
    [InlineData("SET k v|EXPIRE k x", Ok + NotAnInteger)]
    [InlineData("SET k v|EXPIRE k 9223372036854775807|EXPIRE k -9223372036854775808|GET k",
        Ok + "-ERR invalid expire time in 'expire' command\r\n-ERR invalid expire time in 'expire' command\r\n$1\r\nv\r\n")]
    [InlineData("DBSIZE|MSET a 1 b 2|DBSIZE|FLUSHALL|DBSIZE", ":0\r\n" + Ok + ":2\r\n" + Ok + ":0\r\n")]
    [InlineData("FLUSHALL ASYNC|FLUSHALL sync|FLUSHALL now", Ok + Ok + Syntax)]
    [InlineData("COMMAND|COMMAND DOCS|COMMAND DOCS get", "*0\r\n*0\r\n*0\r\n")]
    [InlineData("COMMAND COUNT", "-ERR unknown subcommand 'COUNT'.\r\n")]
    [InlineData("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n")]
    [InlineData("config get APPENDONLY|CONFIG GET append*", "*0\r\n*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n")]
    [InlineData("CONFIG GET x|CONFIG GET save appendonly", "*0\r\n*4\r\n$4\r\nsave\r\n$0\r\n\r\n$10\r\nappendonly\r\n$2\r\nno\r\n")]
    [InlineData("CONFIG", "-ERR wrong number of arguments for 'config' command\r\n")]
    [InlineData("CONFIG GET", "-ERR wrong number of arguments for 'config|get' command\r\n")]
    [InlineData("CONFIG SET save 1", "-ERR unknown subcommand 'SET'.\r\n")]
    [InlineData("CONFIG|GET save", "-ERR unknown command 'CONFIG|GET', with args beginning with: 'save' \r\n", false)]
    [InlineData("CLIENT SETINFO LIB-NAME x|CLIENT SETNAME me|CLIENT GETNAME", Ok + Ok + "$2\r\nme\r\n")]
    [InlineData("CLIENT KILL x", "-ERR unknown subcommand 'KILL'.\r\n")]
    [InlineData("HELLO", Hello)]
    [InlineData("HELLO 2", Hello)]
    [InlineData("HELLO 2 SETNAME me|CLIENT GETNAME", Hello + "$2\r\nme\r\n")]
    [InlineData("HELLO 3", "-NOPROTO unsupported protocol version\r\n")]
    [InlineData("HELLO x", "-ERR Protocol version is not an integer or out of range\r\n")]
    [InlineData("HELLO 2 AUTH a b", "-ERR Syntax error in HELLO option 'AUTH'\r\n")]
    [InlineData("DEBUG SLEEP 0|DEBUG SLEEP 0.001", Ok + Ok)]
    [InlineData("DEBUG SLEEP 61|DEBUG SLEEP -1|DEBUG SLEEP NaN", "-ERR DEBUG SLEEP takes 0 to 60 seconds\r\n-ERR DEBUG SLEEP takes 0 to 60 seconds\r\n-ERR DEBUG SLEEP takes 0 to 60 seconds\r\n")]
    [InlineData("LPUSH k a b|PING", "-ERR unknown command 'LPUSH', with args beginning with: 'k' 'a' 'b' \r\n+PONG\r\n")]
    [InlineData("X", "-ERR unknown command 'X', with args beginning with: \r\n")]
    [InlineData("\r\n+OK", "-ERR unknown command '??+OK', with args beginning with: \r\n")]
    [InlineData("PING|QUIT|PING", "+PONG\r\n" + Ok)]
    [InlineData("POST / HTTP/1.1|PING", "")]
    public async Task Command_Replies(string commands, string replies, bool split = true)
    {
        var pipeline = string.Concat((split ? commands.Split('|') : [commands]).Select(command => RespServer.Command(command.Split(' '))));

        Assert.Equal(Ok + replies, await server.ExchangeAsync(RespServer.Command("FLUSHALL") + pipeline));
    }

    private const string Hello =
        "*12\r\n$6\r\nserver\r\n$10\r\nRespServer\r\n$7\r\nversion\r\n$5\r\n0.2.0\r\n$5\r\nproto\r\n:2\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";

    [Theory]
    [InlineData("PING\r\n", "+PONG\r\n")]
    [InlineData("PING\n", "+PONG\r\n")]
    [InlineData("\r\n\n  \r\nPING\r\n", "+PONG\r\n")]
    [InlineData("*0\r\n*-1\r\nPING\r\n", "+PONG\r\n")]
    [InlineData("  SET   k\t\"hello world\"  \r\nGET k\r\n", Ok + "$11\r\nhello world\r\n")]
    [InlineData("ECHO \"\\x41\\n\\\"\\\\\"\r\n", "$4\r\nA\n\"\\\r\n")]
    [InlineData("ECHO \"\\xZZ\\q\"\r\n", "$4\r\nxZZq\r\n")]
    [InlineData("ECHO 'it\\'s \\n'\r\n", "$7\r\nit's \\n\r\n")]
    [InlineData("ECHO ''\r\n", "$0\r\n\r\n")]
    [InlineData("ECHO a\"b c\"\r\n", "$4\r\nab c\r\n")]
    [InlineData("PING\r\n*1\r\n$4\r\nPING\r\nPING\r\n", "+PONG\r\n+PONG\r\n+PONG\r\n")]
    [InlineData("ECHO \"a\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n")]
    [InlineData("ECHO \"a\"b\r\nPING\r\n", "-ERR Protocol error: unbalanced quotes in request\r\n")]
    public async Task Inline_IsSplitAsInAShell(string lines, string replies) => Assert.Equal(replies, await server.ExchangeAsync(lines));

    [Fact]
    public async Task Input_EndsInTheMiddleOfACommand_WholeOnesAreServed() =>
        Assert.Equal("+PONG\r\n", await server.ExchangeAsync("PING\r\n*2\r\n$4\r\nECHO\r\n$5\r\nhel"));

    [Theory]
    [InlineData("*", "ABC bar b?r foo foobar foobaz fooqux ")]
    [InlineData("foo", "foo")]
    [InlineData("foo*", "foo foobar foobaz fooqux")]
    [InlineData("*ba?", "bar foobar foobaz")]
    [InlineData("**o*", "foo foobar foobaz fooqux")]
    [InlineData("fooba[rz]", "foobar foobaz")]
    [InlineData("fooba[^r]", "foobaz")]
    [InlineData("foo[a-c]a[z-q]", "foobar foobaz")]
    [InlineData("b\\?r", "b?r")]
    [InlineData("b[\\?]r", "b?r")]
    [InlineData("b?r", "bar b?r")]
    [InlineData("[A-C]??", "ABC")]
    [InlineData("[ab", "")]
    [InlineData("ABC[", "")]
    [InlineData("", "")]
    [InlineData("foo\\", "")]
    [InlineData("f*o*o*q*x", "fooqux")]
    [InlineData("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", "")]
    public async Task Keys_Pattern_FindsMatchingKeys(string pattern, string keys)
    {
        string[] all = ["ABC", "bar", "b?r", "foo", "foobar", "foobaz", "fooqux", ""];
        var setAndFind = RespServer.Command("FLUSHALL") + RespServer.Command(["MSET", .. all.SelectMany(key => new[] { key, "1" })]) + RespServer.Command("KEYS", pattern);

        var reply = await server.ExchangeAsync(setAndFind);

        // The empty key shows as the space at the end of the first row; the order of keys is nobody's promise.
        var expected = pattern is "*" ? all : pattern is "" ? [""] : keys.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var found = reply[(Ok + Ok).Length..];
        Assert.StartsWith(string.Create(CultureInfo.InvariantCulture, $"*{expected.Length}\r\n"), found, StringComparison.Ordinal);
        Assert.All(expected, key => Assert.Contains(RespServer.Bulk(key), found, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Expiry_KeyIsGoneForEveryCommand()
    {
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync("FLUSHALL\r\nMSET a 1 b 2\r\nSET k v PX 50\r\n"u8.ToArray());
        Assert.Equal(Ok + Ok + Ok, await RespServer.ReadExactlyAsync(peer, 3 * Ok.Length));

        // Counted before anybody asks for the key, so that looking for it cannot have removed it.
        string size;
        do
        {
            await peer.SendAsync("DBSIZE\r\n"u8.ToArray());
            size = await RespServer.ReadExactlyAsync(peer, ":3\r\n".Length);
        }
        while (size == ":3\r\n");

        Assert.Equal(":2\r\n", size);
        peer.HalfClose();
        Assert.Empty(await RespServer.ReadToFinAsync(peer));
        Assert.Equal(
            Null + ":0\r\n:-2\r\n:0\r\n*0\r\n*1\r\n$-1\r\n:0\r\n" + Ok + ":-1\r\n",
            await server.ExchangeAsync("GET k\r\nEXISTS k\r\nTTL k\r\nDEL k\r\nKEYS k\r\nMGET k\r\nEXPIRE k 100\r\nSET k v NX\r\nTTL k\r\n"));
    }

    [Fact]
    public async Task Info_TellsConnectedClientsAndKeys()
    {
        var info = await server.ExchangeAsync("FLUSHALL\r\nMSET a 1 b 2\r\nINFO\r\n");

        Assert.Contains("\r\ndb0:keys=2\r\n", info, StringComparison.Ordinal);
        Assert.Matches("\r\nconnected_clients:[1-9]", info);
        Assert.EndsWith("\r\n\r\n", info, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ready_IsHealthy()
    {
        using var http = new HttpClient();
        Assert.Equal("Healthy", await http.GetStringAsync(new Uri($"http://127.0.0.1:{server.HttpPort}/ready"), TestContext.Current.CancellationToken));
    }
}
