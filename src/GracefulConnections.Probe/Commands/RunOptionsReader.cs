using System.CommandLine;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GracefulConnections.Probe.Profiles;
using GracefulConnections.Probe.Reports;
using GracefulConnections.Probe.Running;
using GracefulConnections.Probe.Scenarios;
using GracefulConnections.Probe.Stopping;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Commands;

/// <summary>
/// Turns a command line into what a run needs. What is wrong is one line and the exit code for usage.
/// </summary>
internal sealed class RunOptionsReader(ParseResult parsed, CommandLineOptions options)
{
    /// <exception cref="ProbeFailedException">Something on the command line is wrong.</exception>
    public async Task<RunOptions> ReadAsync(CancellationToken cancellationToken)
    {
        var text = parsed.GetValue(options.Target)
            ?? throw Usage("The server is missing. Say what to probe: graceful-probe run HOST:PORT.");
        var profile = ReadProfile(text);
        var pid = parsed.GetValue(options.Pid);
        var stopCommand = parsed.GetValue(options.StopCommand);
        Check(pid is null or > 0, $"--pid must be a process, but was {pid}.");
        Check(pid is null || !StopAction.HasExited(pid.Value), $"--pid {pid} is no process of this machine.");
        var connections = parsed.GetValue(options.Connections);
        Check(
            connections is > 0 and <= CommandLineOptions.MostConnections,
            $"--connections must be from 1 to {CommandLineOptions.MostConnections}, but was {connections}.");
        var patience = parsed.GetValue(options.Patience);
        Check(
            patience is >= 1 and <= CommandLineOptions.MostPatienceSeconds,
            $"--patience must be from 1 to {CommandLineOptions.MostPatienceSeconds} seconds, but was {patience}.");
        var only = ReadOnly();
        var target = await TargetReader.ReadAsync(text, parsed.GetValue(options.AllowRemote), cancellationToken);
        return new RunOptions
        {
            Target = target,
            Profile = profile,
            Tls = ReadTls(target),
            Patience = TimeSpan.FromSeconds(patience),
            IdleConnections = connections,
            IsSerial = parsed.GetValue(options.Serial),
            Only = only,
            Restart = parsed.GetValue(options.RestartCommand) is { } restart ? new StopAction(null, restart) : null,
            Stop = pid is null && stopCommand is null
                ? null
                : new StopAction(stopCommand is null ? pid : null, stopCommand),
        };
    }

    public FailOn ReadFailOn() => FailOn.TryParse(parsed.GetValue(options.FailOn) ?? "")
        ?? throw Usage($"--fail-on must be fail, error, skipped, B, C, D or F, " +
            $"but was \"{parsed.GetValue(options.FailOn)}\".");

    public ReportFiles ReadReportFiles() =>
        new(parsed.GetValue(options.Json), parsed.GetValue(options.JUnit), parsed.GetValue(options.Html));

    /// <exception cref="ProbeFailedException">There is no such scenario.</exception>
    public static ScenarioInfo FindScenario(string name, string option) => Catalog.Find(name.Trim())
        ?? throw Usage($"{option}: there is no scenario \"{name}\". graceful-probe --list shows all.");

    private static ProbeFailedException Usage(string message) => new(ExitCode.Usage, message);

    private static void Check(bool isRight, string otherwise)
    {
        if (!isRight)
        {
            throw Usage(otherwise);
        }
    }

    private HashSet<string> ReadOnly() =>
    [
        .. (parsed.GetValue(options.Only) ?? [])
            .SelectMany(static names => names.Split(',', StringSplitOptions.RemoveEmptyEntries))
            .Select(static name => FindScenario(name, "--only").Name),
    ];

    private Profile ReadProfile(string target)
    {
        var name = parsed.GetValue(options.Profile) ?? "echo";
        var send = ReadBytes(options.Send);
        var expect = parsed.GetValue(options.Expect);
        var end = ReadBytes(options.End);
        Check(name != "custom" || send is not null, "--profile custom needs --send TEXT or --send @FILE.");
        Check(send is not { Length: 0 }, "--send is empty. A request has at least one byte.");
        var profile = name == "custom" ? new Profile { Name = name, Request = [], Reply = new UnknownReply() }
            : name.EndsWith(".json", StringComparison.OrdinalIgnoreCase) ? ProfileFile.Read(name)
            : BuiltInProfiles.Find(name, target[..Math.Max(target.LastIndexOf(':'), 0)])
            ?? throw Usage($"--profile must be one of {string.Join(", ", BuiltInProfiles.Names)} " +
                $"or a file *.json, but was \"{name}\".");
        if (send is not null)
        {
            // The form of the built-in reply belongs to the built-in request, but for those that fit any.
            var fitsAny = profile.Reply is PatternReply or HttpReply;
            profile = profile with
            {
                Request = send,
                Reply = name == "echo" ? new ExactReply(send) : fitsAny ? profile.Reply : new UnknownReply(),
                HalfBytes = name == "echo" || send.Length < 2 ? null : send.Length / 2,
            };
        }

        return profile with { Reply = expect is null ? profile.Reply : ReadReply(expect),
            Ending = end ?? profile.Ending };
    }

    private static ReplyForm ReadReply(string expect)
    {
        try
        {
            return expect.Length > 2 && expect.StartsWith('/') && expect.EndsWith('/')
                ? new PatternReply(expect[1..^1])
                : new ExactReply(Escapes.ToBytes(expect));
        }
        catch (Exception exception) when (exception is ArgumentException or FormatException)
        {
            throw Usage($"--expect: {exception.Message}");
        }
    }

    private byte[]? ReadBytes(Option<string?> option)
    {
        var text = parsed.GetValue(option);
        try
        {
            return text is null ? null : text.StartsWith('@') ? File.ReadAllBytes(text[1..]) : Escapes.ToBytes(text);
        }
        catch (Exception exception) when (exception is FormatException or IOException or UnauthorizedAccessException)
        {
            throw Usage($"{option.Name}: {exception.Message}");
        }
    }

    private TlsSettings? ReadTls(Target target)
    {
        if (!parsed.GetValue(options.Tls))
        {
            return null;
        }

        var version = parsed.GetValue(options.TlsVersion) switch
        {
            null => SslProtocols.None,
            "1.2" => SslProtocols.Tls12,
            "1.3" => SslProtocols.Tls13,
            var other => throw Usage($"--tls-version must be 1.2 or 1.3, but was \"{other}\"."),
        };
        var file = parsed.GetValue(options.TlsCa);
        try
        {
            var authority = file is null ? null : X509Certificate2.CreateFromPem(File.ReadAllText(file));
            var name = parsed.GetValue(options.TlsName) ?? target.Host;
            return new TlsSettings(name, authority, parsed.GetValue(options.Insecure), version);
        }
        catch (Exception exception)
            when (exception is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw Usage($"--tls-ca {file}: {exception.Message}");
        }
    }
}
