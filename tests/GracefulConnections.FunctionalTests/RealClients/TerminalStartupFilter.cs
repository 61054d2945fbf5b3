using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>Answers every request by <paramref name="app"/>.</summary>
internal sealed class TerminalStartupFilter(RequestDelegate app) : IStartupFilter
{
    public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => builder => builder.Run(app);
}
