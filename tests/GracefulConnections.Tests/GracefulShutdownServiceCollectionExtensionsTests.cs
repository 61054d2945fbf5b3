using GracefulConnections.Draining;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests;

public class GracefulShutdownServiceCollectionExtensionsTests
{
    private readonly ServiceCollection _services = [];

    [Fact]
    public void AddGracefulShutdown_Any_ReturnsTheSameServices()
    {
        Assert.Same(_services, _services.AddGracefulShutdown());
        Assert.Same(_services, _services.AddGracefulShutdown(_ => { }));
    }

    [Fact]
    public void AddGracefulShutdown_Twice_RegistersEverythingOnce()
    {
        _services.AddGracefulShutdown();
        _services.AddGracefulShutdown(options => options.DrainTimeout = TimeSpan.FromSeconds(3));

        Assert.All(
            [typeof(DrainCoordinator), typeof(IDrainCoordinator), typeof(IHostedService), typeof(IValidateOptions<ServerDrainOptions>)],
            type => Assert.Single(_services, service => service.ServiceType == type && service.Lifetime == ServiceLifetime.Singleton));
    }

    // A container of another make, such as Grace, builds a class that nobody registered, and everything that it needs.
    [Fact]
    public void Services_All_AskForNoClassThatMayNotBeRegistered()
    {
        _services.AddListenerHandover().AddGracefulConnectionFactory();
        var parameters = _services
            .Select(static service => service.IsKeyedService ? null : service.ImplementationType)
            .Where(static type => type?.Assembly == typeof(ServerDrainOptions).Assembly)
            .SelectMany(static type => type!.GetConstructors().SelectMany(static constructor => constructor.GetParameters()))
            .ToArray();

        Assert.NotEmpty(parameters);
        Assert.All(parameters, parameter =>
        {
            var type = parameter.ParameterType;
            var isMany = type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IEnumerable<>);
            type = isMany ? type.GenericTypeArguments[0] : type;
            var isRegistered = !isMany && _services.Any(service => service.ServiceType == type);
            Assert.True(type.IsInterface || type.IsAbstract || isRegistered, $"{parameter.Member.DeclaringType}: {parameter}");
        });
    }

    [Fact]
    public void AddGracefulShutdown_Configure_ChangesTheOptionsInTheOrderOfTheCalls()
    {
        _services.AddGracefulShutdown(options => options.DrainTimeout = TimeSpan.FromSeconds(3));
        _services.AddGracefulShutdown(options => options.SpreadWindow = options.DrainTimeout / 3);

        var options = new ServerDrainOptions();
        foreach (var configure in _services.Select(service => service.ImplementationInstance).OfType<IConfigureOptions<ServerDrainOptions>>())
        {
            configure.Configure(options);
        }

        Assert.Equal((TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(1)), (options.DrainTimeout, options.SpreadWindow));
    }

    [Fact]
    public void AddGracefulShutdown_BadOptions_AreCheckedAtTheStart()
    {
        _services.AddGracefulShutdown(options => options.DrainTimeout = TimeSpan.Zero);

        // A host makes its hosted services, and with them the coordinator, before it starts one.
        using var provider = _services.BuildServiceProvider();
        Assert.Throws<OptionsValidationException>(provider.GetRequiredService<IDrainCoordinator>);
    }

    [Fact]
    public void AddGracefulShutdown_Null_ThrowsArgumentNullException()
    {
        Assert.Throws<ArgumentNullException>("services", () => ((IServiceCollection)null!).AddGracefulShutdown());
        Assert.Throws<ArgumentNullException>("services", () => ((IServiceCollection)null!).AddGracefulShutdown(_ => { }));
    }
}
