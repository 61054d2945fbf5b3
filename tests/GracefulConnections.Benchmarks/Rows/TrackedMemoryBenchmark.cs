using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>What it costs that a drain knows a connection, and can end it at any time: idle connections, with <c>AddGracefulShutdown()</c> against stock.</summary>
internal sealed class TrackedMemoryBenchmark : MemoryBenchmark
{
    public override string Name => "tracked-memory";

    public override string Description => "managed memory of an idle connection: tracked for a drain on ours, on stock";

    public override void ConfigureServices(IServiceCollection services, Variant variant)
    {
        if (variant == Variant.Graceful)
        {
            services.AddGracefulShutdown();
        }
    }

    public override void Configure(ListenOptions endpoint, Variant variant)
    {
        if (variant == Variant.Graceful)
        {
            endpoint.UseGracefulShutdown();
        }

        endpoint.Run(static connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output));
    }
}
