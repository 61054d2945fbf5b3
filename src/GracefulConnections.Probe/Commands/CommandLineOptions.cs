using System.CommandLine;

namespace GracefulConnections.Probe.Commands;

/// <summary>Everything that can be said on the command line.</summary>
internal sealed class CommandLineOptions
{
    public const int MostConnections = 10_000;
    public const int MostPatienceSeconds = 300;

    public Argument<string?> Target { get; } = new("HOST:PORT")
    {
        Description = "The server, such as 127.0.0.1:6379 or [::1]:6379.",
        Arity = ArgumentArity.ZeroOrOne,
    };

    public Option<string> Profile { get; } = new("--profile")
    {
        Description = "What the server speaks: echo, http, resp, line, smtp, custom (with --send), or a JSON file.",
        DefaultValueFactory = static _ => "echo",
    };

    public Option<string?> Send { get; } = Text("--send",
        "A request in place of the profile's: text with \\r \\n \\xHH, or @FILE.");

    public Option<string?> Expect { get; } = Text("--expect",
        "The reply to it: text with \\r \\n \\xHH, or /REGEX/. " +
        "Default: as many bytes as came at first.");

    public Option<string?> End { get; } = Text("--end",
        "A message behind which the server itself ends the connection: text or @FILE.");

    public Option<bool> Tls { get; } = new("--tls")
        { Description = "Speaks TLS, and runs the scenarios of section 4 too." };

    public Option<string?> TlsName { get; } = Text("--tls-name",
        "The name that the server's certificate must have. Default: HOST.");

    public Option<string?> TlsCa { get; } = Text("--tls-ca",
        "A PEM file with the certificate to trust in place of the machine's.");

    public Option<string?> TlsVersion { get; } = Text("--tls-version",
        "The only version to offer: 1.2 or 1.3. Default: the best of both sides.");

    public Option<bool> Insecure { get; } = new("--insecure") { Description = "Accepts any certificate." };

    public Option<int?> Pid { get; } = new("--pid")
        { Description = "The server's process: sends it SIGTERM at the end, and judges the stop." };

    public Option<string?> StopCommand { get; } = Text("--stop-command",
        "A shell command that stops the server, in place of SIGTERM.");

    public Option<string?> RestartCommand { get; } = Text("--restart-command",
        "A shell command that restarts the server: judges the restart.");

    public Option<int> Connections { get; } = new("--connections")
    {
        Description = $"How many idle connections to make, from 1 to {MostConnections}.",
        DefaultValueFactory = static _ => 1000,
    };

    public Option<double> Patience { get; } = new("--patience")
    {
        Description = $"The longest silence to wait for, in seconds, from 1 to {MostPatienceSeconds}.",
        DefaultValueFactory = static _ => 10,
    };

    public Option<bool> Serial { get; } = new("--serial")
        { Description = "Runs one scenario after the other, for servers that serve one peer at a time." };

    public Option<string[]> Only { get; } = new("--only")
    {
        Description = "Runs these scenarios only: names or numbers, with commas between.",
        DefaultValueFactory = static _ => [],
    };

    public Option<string> FailOn { get; } = new("--fail-on")
    {
        Description = "What makes the exit code 1: fail, error, skipped, or a grade (B, C, D, F: this one or a worse).",
        DefaultValueFactory = static _ => "fail",
    };

    public Option<string?> Json { get; } = Text("--json",
        "Writes the report as JSON to a file; - is standard output, in place of the text.");

    public Option<string?> JUnit { get; } = Text("--junit", "Writes the report as JUnit XML to a file.");

    public Option<string?> Html { get; } = Text("--html", "Writes the report with pictures to one HTML file.");

    public Option<bool> AllowRemote { get; } = new("--allow-remote")
        { Description = "Allows an address that is not of this machine." };

    public Option<bool> List { get; } = new("--list") { Description = "Lists the scenarios.", Recursive = true };

    public Option<string?> Explain { get; } = new("--explain")
        { Description = "Explains a scenario.", HelpName = "SCENARIO", Recursive = true };

    public List<Option> RunOptions =>
    [
        Profile, Send, Expect, End, Tls, TlsName, TlsCa, TlsVersion, Insecure, Pid, StopCommand, RestartCommand,
        Connections, Patience, Serial, Only, FailOn, Json, JUnit, Html, AllowRemote,
    ];

    private static Option<string?> Text(string name, string description) => new(name) { Description = description };
}
