namespace GracefulConnections.Tests.Support;

/// <summary>A service container that has what the test puts into it, and nothing else.</summary>
internal sealed class FakeServices : IServiceProvider
{
    private readonly Dictionary<Type, object> _services = [];

    public FakeServices Add<T>(T service)
        where T : notnull
    {
        _services.Add(typeof(T), service);
        return this;
    }

    public object? GetService(Type serviceType) => _services.GetValueOrDefault(serviceType);
}
