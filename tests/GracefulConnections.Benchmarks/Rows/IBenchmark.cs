using GracefulConnections.Benchmarks.Reporting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>A row of the budgets: both sides of what is measured.</summary>
internal interface IBenchmark
{
    /// <summary>Gets the name to select it by, and to find its budgets by.</summary>
    string Name { get; }

    /// <summary>Gets what is measured, for the heading.</summary>
    string Description { get; }

    /// <summary>Gets whether the row counts what must never happen, so that more is better: <c>--soak</c> runs it for long.</summary>
    bool IsSoak => false;

    /// <summary>Gets what ours is compared with, each in a table of its own.</summary>
    IReadOnlyList<Variant> Baselines => [Variant.Stock];

    /// <summary>Adds what the server needs, in the server process.</summary>
    void ConfigureServices(IServiceCollection services, Variant variant)
    {
    }

    /// <summary>Sets up the endpoint, in the server process.</summary>
    void Configure(ListenOptions endpoint, Variant variant) => throw new NotSupportedException($"{Name} brings its own servers.");

    /// <summary>Adds what the server answers by HTTP, in the server process.</summary>
    void Map(WebApplication app)
    {
    }

    /// <summary>Starts the servers, loads them and records what was measured, in the parent process.</summary>
    Task RunAsync(BenchmarkOptions options, Figures figures);
}
