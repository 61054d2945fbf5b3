using GracefulConnections.Tests.Support;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Options;

namespace GracefulConnections.Tests;

public class GracefulShutdownHealthChecksBuilderExtensionsTests
{
    private readonly ServiceCollection _services = [];
    private readonly IHealthChecksBuilder _builder;

    public GracefulShutdownHealthChecksBuilderExtensionsTests() => _builder = _services.AddHealthChecks();

    [Fact]
    public void AddDrainCheck_Any_ReturnsTheSameBuilder() => Assert.Same(_builder, _builder.AddDrainCheck());

    [Fact]
    public void AddDrainCheck_Defaults_IsUnhealthyOnFailureAndNamedDrain()
    {
        var registration = Register(builder => builder.AddDrainCheck());

        Assert.Equal(("drain", HealthStatus.Unhealthy), (registration.Name, registration.FailureStatus));
        Assert.Empty(registration.Tags);
    }

    [Fact]
    public void AddDrainCheck_NameAndTags_AreTheRegistrations()
    {
        var registration = Register(builder => builder.AddDrainCheck("ready", tags: ["a", "b"]));

        Assert.Equal("ready", registration.Name);
        Assert.Equal(["a", "b"], registration.Tags.Order());
    }

    // One of another make, such as Grace.
    [Fact]
    public void AddDrainCheck_ContainerThatCannotSayWhatItHas_Starts()
    {
        _builder.AddDrainCheck();
        var services = new FakeServices();
        services.Add<IServiceProvider>(services);

        var validator = Assert.Single(_services, static service => service.ServiceType == typeof(IValidateOptions<HealthCheckServiceOptions>));

        var sut = Assert.IsAssignableFrom<IValidateOptions<HealthCheckServiceOptions>>(validator.ImplementationFactory!(services));
        Assert.False(sut.Validate(Options.DefaultName, new HealthCheckServiceOptions()).Failed);
    }

    [Fact]
    public void AddDrainCheck_NoGracefulShutdown_ThrowsWhatToDo()
    {
        var registration = Register(builder => builder.AddDrainCheck());

        var exception = Assert.Throws<InvalidOperationException>(() => registration.Factory(new FakeServices()));
        Assert.Equal("AddDrainCheck needs the drain that it reports: call services.AddGracefulShutdown() as well.", exception.Message);
    }

    [Fact]
    public async Task AddDrainCheck_GracefulShutdown_ChecksItsCoordinator()
    {
        var drain = new TestDrain();
        var registration = Register(builder => builder.AddDrainCheck());

        var check = registration.Factory(new FakeServices().Add<IDrainCoordinator>(drain.Coordinator));

        Assert.Equal(HealthStatus.Healthy, (await check.CheckHealthAsync(new HealthCheckContext { Registration = registration })).Status);
    }

    [Fact]
    public void AddDrainCheck_BadArguments_Throws()
    {
        Assert.Throws<ArgumentNullException>("builder", () => ((IHealthChecksBuilder)null!).AddDrainCheck());
        Assert.Throws<ArgumentNullException>("name", () => _builder.AddDrainCheck(null!));
        Assert.Throws<ArgumentException>("name", () => _builder.AddDrainCheck(string.Empty));
    }

    private HealthCheckRegistration Register(Action<IHealthChecksBuilder> add)
    {
        add(_builder);
        var options = new HealthCheckServiceOptions();
        foreach (var configure in _services.Select(service => service.ImplementationInstance).OfType<IConfigureOptions<HealthCheckServiceOptions>>())
        {
            configure.Configure(options);
        }

        return Assert.Single(options.Registrations);
    }
}
