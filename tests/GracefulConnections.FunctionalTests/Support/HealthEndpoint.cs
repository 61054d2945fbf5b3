using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Answers probes at <see cref="Path"/> on every HTTP endpoint.</summary>
internal sealed class HealthEndpoint : IStartupFilter
{
    public const string Path = "/ready";

    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
    {
        app.UseHealthChecks(Path);
        next(app);
    };
}
