using Microsoft.Extensions.Configuration;

namespace GracefulConnections.Dashboard.Tests;

/// <summary>Configuration that changes while the server runs, as an edited file does.</summary>
internal sealed class ReloadableConfiguration : ConfigurationProvider, IConfigurationSource
{
    public IConfigurationProvider Build(IConfigurationBuilder builder) => this;

    /// <summary>Changes a value and tells everyone.</summary>
    public void Change(string key, string value)
    {
        Set(key, value);
        OnReload();
    }
}
