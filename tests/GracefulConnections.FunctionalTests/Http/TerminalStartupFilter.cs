using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>Answers every request by <paramref name="app"/>, which can accept WebSockets.</summary>
internal sealed class TerminalStartupFilter(RequestDelegate app) : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => builder => builder.UseWebSockets().Run(app);
}
