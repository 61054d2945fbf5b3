using System.Globalization;
using System.Runtime.InteropServices;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Listening;

/// <summary>Finds everything that is wrong with the options at once.</summary>
internal sealed class ListenerHandoverOptionsValidator : IValidateOptions<ListenerHandoverOptions>
{
    private static readonly TimeSpan LongestTimeout = TimeSpan.FromDays(1);

    public ValidateOptionsResult Validate(string? name, ListenerHandoverOptions options)
    {
        var failures = new ValidateOptionsResultBuilder();
        if (!OperatingSystem.IsLinux())
        {
            return failures.Build(); // Nothing is handed over there, which the log says.
        }

        var path = HandoverPath.Of(options);
        if (path is not null && HandoverPath.Check(path) is { } rule)
        {
            Add(nameof(options.SocketPath), rule, path);
        }

        if (options.RestartSignal is { } signal)
        {
            if (signal is PosixSignal.SIGTERM or PosixSignal.SIGINT or PosixSignal.SIGQUIT)
            {
                Add(nameof(options.RestartSignal), "must not be a signal that stops the host", $"{signal}");
            }

            if (path is null)
            {
                Add(
                    nameof(options.RestartSignal),
                    "needs SocketPath, or RUNTIME_DIRECTORY in the environment, because the process that it starts "
                    + "asks there for the listening sockets",
                    $"{signal}");
            }
        }

        if (options.ReadyTimeout <= TimeSpan.Zero || options.ReadyTimeout > LongestTimeout)
        {
            Add(
                nameof(options.ReadyTimeout),
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"must be positive and at most {LongestTimeout.TotalHours} hours; a bare number means days"),
                OptionText.Spell(options.ReadyTimeout));
        }

        return failures.Build();

        void Add(string property, string rule, string value) =>
            failures.AddError($"{nameof(ListenerHandoverOptions)}: {property} {rule}, but was {value}.");
    }
}
