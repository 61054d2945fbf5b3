using System.Globalization;
using System.Text;
using GracefulConnections;
using RespServer.Protocol;
using RespServer.Storage;

namespace RespServer.Commands;

/// <summary>The commands that are not about keys.</summary>
internal sealed class ServerCommands(KeyValueStore store, IDrainCoordinator connections, TimeProvider time)
{
    private const string ServerName = "RespServer";
    private const long ProtocolVersion = 2;

    private static readonly byte[] Version = Encoding.ASCII.GetBytes(typeof(ServerCommands).Assembly.GetName().Version!.ToString(fieldCount: 3));

    // redis-benchmark asks for the first two before it starts.
    private static readonly (byte[] Name, byte[] Value)[] Configuration =
    [
        ("save"u8.ToArray(), []),
        ("appendonly"u8.ToArray(), "no"u8.ToArray()),
        ("maxmemory"u8.ToArray(), StrictInteger.Print(Limits.MaxStoreBytes)),
        ("proto-max-bulk-len"u8.ToArray(), StrictInteger.Print(Limits.MaxBulkBytes)),
    ];

    private readonly long _started = time.GetTimestamp();

    public IEnumerable<Command> All =>
    [
        new("client|getname", 2, (_, session) => session.Reply.WriteBulk(session.ClientName)),
        new("client|setinfo", 4, (_, session) => session.Reply.WriteOk()),
        new("client|setname", 3, (request, session) =>
        {
            session.ClientName = request.Copy(2);
            session.Reply.WriteOk();
        }),
        new("command", -1, Command),
        new("config|get", -3, GetConfiguration),
        new("debug|sleep", 3, SleepAsync),
        new("echo", 2, (request, session) => session.Reply.WriteBulk(request[1])),
        new("hello", -1, Hello),
        new("info", -1, Info),
        new("ping", -1, Ping),
        new("quit", -1, Quit),

        // A web page can make a browser send these to any port, and commands in the body. Nobody who speaks RESP does.
        new("host:", -1, (_, session) => session.End()),
        new("post", -1, (_, session) => session.End()),
    ];

    private static void Ping(Request request, Session session)
    {
        switch (request.Count)
        {
            case 1:
                session.Reply.WriteSimple("PONG"u8);
                break;
            case 2:
                session.Reply.WriteBulk(request[1]);
                break;
            default:
                session.Reply.WriteError(Errors.WrongNumberOfArguments("ping"));
                break;
        }
    }

    private static void Quit(Request request, Session session)
    {
        session.Reply.WriteOk();
        session.End();
    }

    // redis-cli asks for the documentation of all commands, and does without.
    private static void Command(Request request, Session session)
    {
        if (request.Count == 1 || request.Is(1, "DOCS"u8))
        {
            session.Reply.WriteArray(0);
        }
        else
        {
            session.Reply.WriteError(Errors.UnknownSubcommand(request));
        }
    }

    private static void GetConfiguration(Request request, Session session)
    {
        var matches = Configuration.Where(parameter => Enumerable.Range(2, request.Count - 2).Any(i => GlobPattern.IsMatch(request[i], parameter.Name))).ToList();
        session.Reply.WriteArray(2 * matches.Count);
        foreach (var (name, value) in matches)
        {
            session.Reply.WriteBulk(name);
            session.Reply.WriteBulk(value);
        }
    }

    // RESP3 would allow messages that nobody asked for, a proper goodbye among them; this server does not speak it, and says so in the way that clients fall back on.
    private static void Hello(Request request, Session session)
    {
        if (request.Count > 1)
        {
            if (!request.TryGetInteger(1, out var version))
            {
                session.Reply.WriteError("ERR Protocol version is not an integer or out of range");
                return;
            }

            if (version != ProtocolVersion)
            {
                session.Reply.WriteError("NOPROTO unsupported protocol version");
                return;
            }
        }

        if (request.Count == 4 && request.Is(2, "SETNAME"u8))
        {
            session.ClientName = request.Copy(3);
        }
        else if (request.Count > 2)
        {
            session.Reply.WriteError($"ERR Syntax error in HELLO option '{request.Describe(2)}'");
            return;
        }

        session.Reply.WriteArray(2 * 6);
        session.Reply.WriteBulk("server"u8);
        session.Reply.WriteBulk(Encoding.ASCII.GetBytes(ServerName));
        session.Reply.WriteBulk("version"u8);
        session.Reply.WriteBulk(Version);
        session.Reply.WriteBulk("proto"u8);
        session.Reply.WriteInteger(ProtocolVersion);
        session.Reply.WriteBulk("mode"u8);
        session.Reply.WriteBulk("standalone"u8);
        session.Reply.WriteBulk("role"u8);
        session.Reply.WriteBulk("master"u8);
        session.Reply.WriteBulk("modules"u8);
        session.Reply.WriteArray(0);
    }

    private void Info(Request request, Session session)
    {
        int keys;
        long usedBytes;
        lock (store.Lock)
        {
            keys = store.Count();
            usedBytes = store.UsedBytes;
        }

        session.Reply.WriteBulk(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"""
            # Server
            server_name:{ServerName}
            process_id:{Environment.ProcessId}
            uptime_in_seconds:{(long)time.GetElapsedTime(_started).TotalSeconds}

            # Clients
            connected_clients:{connections.ConnectionCount}

            # Memory
            used_memory_dataset:{usedBytes}
            maxmemory:{Limits.MaxStoreBytes}

            # Keyspace
            db0:keys={keys}

            """).ReplaceLineEndings("\r\n")));
    }

    // Makes a connection busy, for whoever wants to see what a stopping server does then: it finishes. Replies to earlier commands do not wait for this one.
    private async ValueTask SleepAsync(Request request, Session session)
    {
        if (!double.TryParse(request[2], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) || seconds is not >= 0 || seconds > Limits.MaxSleep.TotalSeconds)
        {
            session.Reply.WriteError($"ERR DEBUG SLEEP takes 0 to {Limits.MaxSleep.TotalSeconds} seconds");
            return;
        }

        await session.Reply.FlushAsync();
        await Task.Delay(TimeSpan.FromSeconds(seconds), time, CancellationToken.None);
        session.Reply.WriteOk();
    }
}
