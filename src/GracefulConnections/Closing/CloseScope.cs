using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using GracefulConnections.Diagnostics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Closing;

/// <summary>What the connections of one endpoint share: options, clock, limits and where they report to.</summary>
internal sealed class CloseScope
{
    private static readonly ConditionalWeakTable<object, CloseScope> Shared = [];
    private static readonly ConditionalWeakTable<object, LatestOptions<GracefulCloseOptions>> Latest = [];
    private static readonly Lazy<CloseScope> LazyDefault = new(static () => Create(null, static _ => { }));

    private readonly Lazy<LingeringQueue?> _lingering;
    private CloseScope? _upstream; // Two of them at the same time do no harm.

    public CloseScope(
        GracefulCloseOptions options,
        TimeProvider time,
        ILogger logger,
        GracefulMetrics metrics,
        IServiceProvider? services = null)
    {
        Options = options;
        Time = time;
        Wheel = TimerWheel.For(time);
        Logger = GuardedLogger.Around(logger);
        Metrics = metrics;
        _lingering = new(() => (options.MaxLingeringConnections ?? ConnectionPlace.GetCount(services)) is { } max
            ? new LingeringQueue(max)
            : null);
    }

    /// <summary>Gets the scope of connections on endpoints that nobody configured.</summary>
    public static CloseScope Default => LazyDefault.Value;

    public GracefulCloseOptions Options { get; }

    public TimeProvider Time { get; }

    /// <summary>Gets the deadlines of all connections on the clock.</summary>
    public TimerWheel Wheel { get; }

    /// <summary>Gets what keeps reports of lost output from flooding the log.</summary>
    public LossLimiter LossLimiter { get; } = new();

    public ILogger Logger { get; }

    public GracefulMetrics Metrics { get; }

    /// <summary>
    /// Gets the connections that linger; <see langword="null"/> where their number has no limit. Without a limit of the
    /// endpoint's it is that of the server's places, because one that lingers has left its place to another.
    /// </summary>
    public LingeringQueue? Lingering => _lingering.Value;

    /// <summary>
    /// Gets the scope of connections that are made for connections of this one, to relay between the two: the same
    /// limits, but for those that ask a connection to close, because the relay passes a close request on by itself.
    /// </summary>
    public CloseScope Upstream => _upstream ??= new CloseScope(Options.ForUpstream(), Time, Logger, Metrics);

    /// <summary>Makes a scope of what the service container has; everything in it is optional.</summary>
    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    public static CloseScope Create(
        IServiceProvider? services, Action<GracefulCloseOptions> configure, string? endpoint = null)
    {
        var factory = services?.GetService<IOptionsFactory<GracefulCloseOptions>>();
        var options = factory?.Create(Microsoft.Extensions.Options.Options.DefaultName) ?? new GracefulCloseOptions();
        configure(options);
        return Create(services, options, endpoint);
    }

    /// <summary>
    /// Returns the scope that all connections share which are closed by the same options, or, without any, by those
    /// that the service container has at this time. Values that a reload of the configuration brings and that are
    /// refused change nothing.
    /// </summary>
    /// <exception cref="OptionsValidationException">An option is out of range.</exception>
    public static CloseScope Get(IServiceProvider? services, GracefulCloseOptions? options) =>
        (options ?? GetLatest(services)?.Value) is { } current
            ? Shared.GetValue(current, _ => Create(services, current, endpoint: null))
        : services is not null ? Shared.GetValue(services, _ => Create(services, static _ => { }))
        : Default;

    /// <summary>Returns where connections log.</summary>
    public static ILogger CreateLogger(IServiceProvider? services) => GuardedLogger.Around(
        services?.GetService<ILoggerFactory>()?.CreateLogger(Log.Category) ?? NullLogger.Instance);

    private static LatestOptions<GracefulCloseOptions>? GetLatest(IServiceProvider? services) =>
        services?.GetService<IOptionsMonitor<GracefulCloseOptions>>() is { } monitor
            ? Latest.GetValue(monitor, _ => new LatestOptions<GracefulCloseOptions>(
                monitor,
                static current => GracefulCloseOptionsValidator.ThrowIfInvalid(current, endpoint: null),
                CreateLogger(services)))
            : null;

    private static CloseScope Create(IServiceProvider? services, GracefulCloseOptions options, string? endpoint)
    {
        GracefulCloseOptionsValidator.ThrowIfInvalid(options, endpoint);
        var logger = CreateLogger(services);
        return new CloseScope(
            options,
            services?.GetService<TimeProvider>() ?? TimeProvider.System,
            logger,
            new GracefulMetrics(services?.GetService<IMeterFactory>(), logger, isServer: endpoint is not null),
            services);
    }
}
