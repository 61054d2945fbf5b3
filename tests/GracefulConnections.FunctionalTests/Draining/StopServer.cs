using System.Diagnostics;
using GracefulConnections.FunctionalTests.Samples.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>The program <c>tests/GracefulConnections.StopServer</c>: a server that a test stops as a service manager does.</summary>
internal static class StopServer
{
    public const int ReplyBytes = 100_000;
    public const int LargeReplyBytes = 1_500_000;
    public const int StuckReplyBytes = 30_000_000; // More than both kernels hold.
    public const string Goodbye = "bye";

    private const string Assembly = "GracefulConnections.StopServer";

    // Hosting.Systemd believes in systemd when the parent process has its name. Our SIGTERM goes on to the server, as systemd's would reach it directly.
    private const string SystemdScript = """
        printf systemd > /proc/$$/comm
        trap 'kill -TERM $child' TERM
        "$@" &
        child=$!
        wait $child
        wait $child
        """;

    /// <summary>Gets the request that is answered at once with one byte.</summary>
    public static ReadOnlyMemory<byte> Ping { get; } = "p"u8.ToArray();

    /// <summary>Gets the request that is answered by two flushes at once, and by no more.</summary>
    public static ReadOnlyMemory<byte> TwoFlushes { get; } = "f"u8.ToArray();

    /// <summary>Gets the request that is answered with <see cref="LargeReplyBytes"/> and a return.</summary>
    public static ReadOnlyMemory<byte> LargeReply { get; } = "r"u8.ToArray();

    /// <summary>Gets the request that is answered with <see cref="StuckReplyBytes"/> and a return.</summary>
    public static ReadOnlyMemory<byte> StuckReply { get; } = "s"u8.ToArray();

    /// <summary>Gets the request whose handler blocks its thread for ever.</summary>
    public static ReadOnlyMemory<byte> Block { get; } = "b"u8.ToArray();

    /// <summary>Gets the request that calls <c>StopApplication()</c>, and is answered with one byte.</summary>
    public static ReadOnlyMemory<byte> Stop { get; } = "q"u8.ToArray();

    /// <summary>Gets the request that keeps the server busy, and is answered with <see cref="ReplyBytes"/>.</summary>
    public static ReadOnlyMemory<byte> Work { get; } = "w"u8.ToArray();

    public static Task<SampleProcess> StartAsync(params IEnumerable<string> arguments) => StartAsync("dotnet", [], arguments);

    /// <summary>Starts it with more in its environment.</summary>
    public static Task<SampleProcess> StartAsync(
        IEnumerable<KeyValuePair<string, string>> environment, params IEnumerable<string> arguments) =>
        StartAsync("dotnet", [], arguments, environment: environment);

    /// <summary>Starts it as a service of a systemd that listens at <paramref name="notifySocket"/>, or does not listen.</summary>
    public static Task<SampleProcess> StartServiceAsync(string? notifySocket, params IEnumerable<string> arguments) =>
        StartAsync("bash", ["-c", SystemdScript, "bash", "dotnet"], arguments, notifySocket);

    private static Task<SampleProcess> StartAsync(
        string program,
        IEnumerable<string> prefix,
        IEnumerable<string> arguments,
        string? notifySocket = null,
        IEnumerable<KeyValuePair<string, string>>? environment = null)
    {
        var start = new ProcessStartInfo(program, [.. prefix, SampleProcess.FindAssembly("tests", Assembly), .. arguments]);
        start.Environment["NOTIFY_SOCKET"] = notifySocket;
        foreach (var (name, value) in environment ?? [])
        {
            start.Environment[name] = value;
        }

        return SampleProcess.StartAsync(start);
    }
}
