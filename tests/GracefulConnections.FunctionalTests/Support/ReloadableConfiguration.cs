using Microsoft.Extensions.Configuration;

namespace GracefulConnections.FunctionalTests.Support;

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

    /// <summary>Removes a key and tells everyone.</summary>
    public void Remove(string key)
    {
        Assert.True(Data.Remove(key));
        OnReload();
    }
}
