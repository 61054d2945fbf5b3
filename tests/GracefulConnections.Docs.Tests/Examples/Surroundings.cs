namespace GracefulConnections.Docs.Tests.Examples;

/// <summary>What a block of the documentation may take for granted.</summary>
internal static class Surroundings
{
    /// <summary>Gets the usings: those of a web project, and those that an editor adds by itself.</summary>
    public static readonly string[] Usings =
    [
        "System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Threading",
        "System.Threading.Tasks", "System.Net.Http.Json", "Microsoft.AspNetCore.Builder", "Microsoft.AspNetCore.Hosting",
        "Microsoft.AspNetCore.Http", "Microsoft.AspNetCore.Routing", "Microsoft.Extensions.Configuration",
        "Microsoft.Extensions.DependencyInjection", "Microsoft.Extensions.Hosting", "Microsoft.Extensions.Logging",
        "GracefulConnections", "Microsoft.AspNetCore.Connections", "Microsoft.AspNetCore.Connections.Features",
        "Microsoft.AspNetCore.Server.Kestrel.Core", "Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets",
        "Microsoft.Extensions.Logging.Abstractions", "Microsoft.Extensions.Options", "System.Buffers",
        "System.Diagnostics.Metrics", "System.IO.Pipelines", "System.Net", "System.Net.Sockets", "System.Net.WebSockets",
        "System.Runtime.InteropServices", "System.Security.Cryptography.X509Certificates", "System.Text",
        "GracefulConnections.Testing", "Microsoft.Extensions.Time.Testing", "Xunit", "System.Collections.Concurrent", "System.Threading.Channels", "Microsoft.AspNetCore.SignalR", "MQTTnet.AspNetCore", "MQTTnet.Protocol", "MQTTnet.Server",
    ];

    /// <summary>Gets the values, each behind those that it needs.</summary>
    public static readonly (string Name, string Code)[] Values =
    [
        ("builder", "var builder = WebApplication.CreateSlimBuilder();"),
        ("app", "var app = builder.Build();"),
        ("services", "IServiceProvider services = null!;"),
        ("kestrel", "KestrelServerOptions kestrel = null!;"),
        ("endpoint", "ListenOptions endpoint = null!;"),
        ("certificate", "X509Certificate2 certificate = null!;"),
        ("connection", "ConnectionContext connection = null!;"),
        ("upstream", "ConnectionContext upstream = null!;"),
        ("factory", "IConnectionFactory factory = null!;"),
        ("counters", "RelayCounters counters = null!;"),
        ("close", "IGracefulCloseFeature close = null!;"),
        ("cancellationToken", "CancellationToken cancellationToken = default;"),
        ("SendAsync", "static Task SendAsync(ConnectionContext connection, int count) => Task.CompletedTask;"),
        ("AnswerAsync", "static Task AnswerAsync(ConnectionContext connection) => Task.CompletedTask;"),
    ];

    public static readonly Dictionary<string, string> Types = new()
    {
        ["MyHandler"] =
            "sealed class MyHandler : ConnectionHandler\n"
            + "{ public override Task OnConnectedAsync(ConnectionContext connection) => Task.CompletedTask; }\n",
        ["ChatHub"] = "sealed class ChatHub : Hub;\n",
        ["OpenSockets"] = "sealed class OpenSockets { public List<WebSocket> All { get; } = []; }\n",
    };

    public static bool Knows(string name) => Types.ContainsKey(name) || Values.Any(value => value.Name == name);

    public static IEnumerable<string> WithWhatItNeeds(string name) => name == "app" ? ["builder", name] : [name];
}
