using System.Diagnostics;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

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
    public const string SystemdScript = """
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

    /// <summary>Gets the request that begins a drain while the server goes on, and is answered with one byte.</summary>
    public static ReadOnlyMemory<byte> Drain { get; } = "d"u8.ToArray();

    /// <summary>Gets the request that asks for all connections while every other thread of the pool is blocked, and is answered with one byte.</summary>
    public static ReadOnlyMemory<byte> GetConnections { get; } = "g"u8.ToArray();

    /// <summary>Gets the request that keeps the server busy, and is answered with <see cref="ReplyBytes"/>.</summary>
    public static ReadOnlyMemory<byte> Work { get; } = "w"u8.ToArray();

    public static Task<SampleProcess> StartAsync(params IEnumerable<string> arguments) => StartAsync("dotnet", [], arguments);

    /// <summary>
    /// Starts it for a test in which its own time counts. Where the test may say so, it runs before everything else on the machine, so that what else runs does not count.
    /// </summary>
    public static Task<SampleProcess> StartUrgentAsync(params IEnumerable<string> arguments) => StartAsync("nice", ["-n", "-15", "dotnet"], arguments);

    /// <summary>Starts it with more in its environment.</summary>
    public static Task<SampleProcess> StartAsync(
        IEnumerable<KeyValuePair<string, string>> environment, params IEnumerable<string> arguments) =>
        StartAsync("dotnet", [], arguments, environment: environment);

    /// <summary>Starts it as a service of a systemd that listens at <paramref name="notifySocket"/>, or does not listen.</summary>
    public static Task<SampleProcess> StartServiceAsync(string? notifySocket, params IEnumerable<string> arguments) =>
        StartAsync("bash", ["-c", SystemdScript, "bash", "dotnet"], arguments, notifySocket);

    /// <summary>Starts it in such a way that it never comes to serve, and does not wait for anything.</summary>
    public static SampleProcess StartForEver(params IEnumerable<string> arguments) =>
        SampleProcess.Start(Create("dotnet", [], ["--NeverStarts", "true", .. arguments]));

    /// <summary>Starts it, to stop by itself while no descriptor is left.</summary>
    public static SampleProcess StartShortOfDescriptors(string kind) =>
        SampleProcess.Start(Create("bash", ["-c", "ulimit -n 1000 && exec \"$@\"", "bash", "dotnet"], ["--NoDescriptors", kind]));

    /// <summary>Starts it by <c>dotnet run</c>, in a process group of its own as a shell does.</summary>
    public static Task<SampleProcess> RunAsync(params IEnumerable<string> arguments)
    {
        var framework = Path.GetDirectoryName(SampleProcess.FindAssembly("tests", Assembly))!;
        var configuration = Path.GetDirectoryName(framework)!;
        var project = Path.GetFullPath(Path.Combine(configuration, "..", ".."));
        string[] run = ["dotnet", "run", "--no-build", "-c", Path.GetFileName(configuration), "--project", project, "--"];
        var start = new ProcessStartInfo(RequiredProgram.Find("setsid", "util-linux"), [.. run, .. arguments]);
        start.Environment["NOTIFY_SOCKET"] = null;
        return SampleProcess.StartAsync(start);
    }

    private static Task<SampleProcess> StartAsync(
        string program,
        IEnumerable<string> prefix,
        IEnumerable<string> arguments,
        string? notifySocket = null,
        IEnumerable<KeyValuePair<string, string>>? environment = null) =>
        SampleProcess.StartAsync(Create(program, prefix, arguments, notifySocket, environment));

    private static ProcessStartInfo Create(
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

        return start;
    }
}
