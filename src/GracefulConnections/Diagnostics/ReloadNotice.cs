using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace GracefulConnections.Diagnostics;

/// <summary>
/// Says once that a reload of the configuration changes no options, and tells the drain of each. It does not read the
/// options again, because bad values would throw into whoever reloads.
/// </summary>
internal sealed class ReloadNotice : IDisposable
{
    private readonly List<IDisposable> _registrations = [];
    private readonly ILogger _logger;
    private int _isSaid;

    public ReloadNotice(IServiceProvider services, ILogger logger, Func<IChangeToken, IChangeToken> watch)
    {
        _logger = logger;
        if (services.GetService<IConfiguration>() is { } configuration)
        {
            _registrations.Add(ChangeToken.OnChange(() => watch(configuration.GetReloadToken()), static () => { }));
        }

        Watch<ServerDrainOptions>(services);
        Watch<GracefulCloseOptions>(services);
    }

    public void Dispose() => _registrations.ForEach(static registration => registration.Dispose());

    private void Watch<T>(IServiceProvider services)
    {
        foreach (var source in services.GetServices<IOptionsChangeTokenSource<T>>())
        {
            _registrations.Add(ChangeToken.OnChange(source.GetChangeToken, Say, typeof(T).Name));
        }
    }

    private void Say(string options)
    {
        if (Interlocked.Exchange(ref _isSaid, 1) == 0)
        {
            Log.ConfigurationReloaded(_logger, options);
        }
    }
}
