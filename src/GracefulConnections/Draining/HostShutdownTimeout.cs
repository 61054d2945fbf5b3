using System.Reflection;

namespace GracefulConnections.Draining;

/// <summary>
/// The host's <c>HostOptions.ShutdownTimeout</c>, by name: its type lives in the host's own package, and a library that
/// needs the abstractions only should not bring the whole host along. The type names are constants, so that trimming
/// and native compilation see them.
/// </summary>
internal sealed class HostShutdownTimeout
{
    private readonly object _options;
    private readonly PropertyInfo _shutdownTimeout;

    private HostShutdownTimeout(object options, PropertyInfo shutdownTimeout)
    {
        _options = options;
        _shutdownTimeout = shutdownTimeout;
    }

    public TimeSpan Value
    {
        get => (TimeSpan)_shutdownTimeout.GetValue(_options)!;
        set => _shutdownTimeout.SetValue(_options, value);
    }

    /// <summary>Finds it in the service container.</summary>
    /// <returns><see langword="null"/> where there is another kind of host.</returns>
    public static HostShutdownTimeout? Find(IServiceProvider services)
    {
        var shutdownTimeout = Type.GetType("Microsoft.Extensions.Hosting.HostOptions, Microsoft.Extensions.Hosting")
            ?.GetProperty("ShutdownTimeout");
        var accessor = Type.GetType(
            "Microsoft.Extensions.Options.IOptions`1[[Microsoft.Extensions.Hosting.HostOptions, "
            + "Microsoft.Extensions.Hosting]], Microsoft.Extensions.Options");
        return shutdownTimeout is not null
            && accessor?.GetProperty("Value") is { } value
            && services.GetService(accessor) is { } options
            ? new HostShutdownTimeout(value.GetValue(options)!, shutdownTimeout)
            : null;
    }
}
