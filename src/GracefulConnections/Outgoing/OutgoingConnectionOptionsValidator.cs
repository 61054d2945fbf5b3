using System.Globalization;
using GracefulConnections.Diagnostics;
using GracefulConnections.Draining;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Outgoing;

/// <summary>
/// Checks how connections are made. Names every property that is wrong at once, with its rule and the value found.
/// </summary>
internal sealed class OutgoingConnectionOptionsValidator(IServiceProvider services)
    : IValidateOptions<OutgoingConnectionOptions>
{
    public const int LeastBlock = 4096;
    public const int LargestBlock = 1024 * 1024;

    private static readonly TimeSpan LongestTime = TimeSpan.FromDays(1);
    private static readonly TimeSpan ShortestDelay = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan ShortestKeepAlive = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestKeepAlive = TimeSpan.FromSeconds(32767); // MAX_TCP_KEEPIDLE of Linux.

    public ValidateOptionsResult Validate(string? name, OutgoingConnectionOptions options)
    {
        var failures = new ValidateOptionsResultBuilder();
        CheckTime(
            (options.ConnectTimeout > TimeSpan.Zero && options.ConnectTimeout <= LongestTime)
                || options.ConnectTimeout == Timeout.InfiniteTimeSpan,
            "must be positive and at most one day, or Timeout.InfiniteTimeSpan for no limit",
            options.ConnectTimeout,
            nameof(options.ConnectTimeout));
        CheckTime(
            options.AttemptDelay >= ShortestDelay && options.AttemptDelay <= LongestTime,
            "must be from 10 ms to one day",
            options.AttemptDelay,
            nameof(options.AttemptDelay));
        CheckTime(
            options.KeepAlive is null
                || (options.KeepAlive >= ShortestKeepAlive && options.KeepAlive <= LongestKeepAlive),
            "must be null for none, or from 1 s to 32767 s",
            options.KeepAlive,
            nameof(options.KeepAlive));
        Check(
            options.SendBufferSize is not < 1,
            "must be null for the kernel's own, or one byte or more",
            options.SendBufferSize,
            nameof(options.SendBufferSize));
        Check(
            options.ReceiveBufferSize is not < 1,
            "must be null for the kernel's own, or one byte or more",
            options.ReceiveBufferSize,
            nameof(options.ReceiveBufferSize));
        Check(
            options.ReadBlockSize is >= LeastBlock and <= LargestBlock,
            $"must be from {LeastBlock} to {LargestBlock} bytes",
            options.ReadBlockSize,
            nameof(options.ReadBlockSize));
        Check(
            !options.DrainWithServer || services.GetService<DrainCoordinator>() is not null,
            "needs a drain: call AddGracefulShutdown(), or leave it false",
            options.DrainWithServer,
            nameof(options.DrainWithServer));
        return failures.Build();

        void CheckTime(bool isValid, string rule, TimeSpan? value, string property) =>
            Check(isValid, rule, OptionText.Spell(value), property);

        void Check<T>(bool isValid, string rule, T value, string property)
        {
            if (!isValid)
            {
                failures.AddError(string.Create(
                    CultureInfo.InvariantCulture,
                    $"{nameof(OutgoingConnectionOptions)}: {property} {rule}, but was {value}."));
            }
        }
    }
}
