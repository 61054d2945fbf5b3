using System.Diagnostics.Metrics;
using GracefulConnections.Dashboard;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace GracefulConnections;

/// <summary>Maps the dashboard.</summary>
public static class GracefulDashboardEndpointRouteBuilderExtensions
{
    /// <summary>
    /// Maps a live page that shows the server's connections, and the JSON API behind it. Only for requests of this
    /// machine, unless it is given an authorization policy: <c>.RequireAuthorization("operators")</c>.
    /// </summary>
    /// <param name="endpoints">Where to map it.</param>
    /// <param name="pattern">The path of the page. The default is <c>/connections</c>.</param>
    /// <param name="configure">Sets the options.</param>
    /// <returns>The routes, to put a policy or anything else on.</returns>
    /// <exception cref="InvalidOperationException">
    /// <c>AddGracefulShutdown()</c> was not called, or actions are allowed without a policy or without antiforgery.
    /// </exception>
    public static IEndpointConventionBuilder MapGracefulConnections(
        this IEndpointRouteBuilder endpoints,
        string pattern = "/connections",
        Action<GracefulDashboardOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(endpoints);
        ArgumentException.ThrowIfNullOrEmpty(pattern);
        var options = new GracefulDashboardOptions();
        configure?.Invoke(options);
        var services = endpoints.ServiceProvider;
        var drain = services.GetService<IDrainCoordinator>()
            ?? throw new InvalidOperationException(
                $"MapGracefulConnections(\"{pattern}\") needs the drain that it shows, and there is none. "
                + "Call builder.Services.AddGracefulShutdown() first.");
        var antiforgery = services.GetService<IAntiforgery>();
        if (options.AllowActions)
        {
            Check(pattern, options, antiforgery);
        }

        var feed = new DashboardFeed(
            drain,
            services.GetRequiredService<IOptions<ServerDrainOptions>>().Value.DrainTimeout, // The drain's own, as well.
            services.GetService<TimeProvider>() ?? TimeProvider.System,
            options.Interval,
            services.GetService<IMeterFactory>(),
            services.GetService<IHostApplicationLifetime>()?.ApplicationStopped ?? CancellationToken.None);
        var queries = new DashboardQueries(feed, options, antiforgery);
        var group = endpoints.MapGroup(pattern);
        group.MapGet("", DashboardPage.WriteAsync);
        group.MapGet("dashboard.css", DashboardPage.WriteStyleAsync);
        group.MapGet("dashboard.js", DashboardPage.WriteScriptAsync);
        group.MapGet("api/summary", queries.GetSummaryAsync);
        group.MapGet("api/connections", queries.GetConnectionsAsync);
        group.MapGet("api/connections/{id}", queries.GetConnectionAsync);
        group.MapGet("api/events", new DashboardEvents(feed).StreamAsync);
        if (options.AllowActions)
        {
            var actions = new DashboardActions(drain, feed, antiforgery!);
            group.MapPost("api/drain", actions.DrainAsync).RequireAuthorization(options.ActionPolicy!);
            group.MapPost("api/connections/{id}/abort", actions.AbortAsync).RequireAuthorization(options.ActionPolicy!);
        }

        ((IEndpointConventionBuilder)group).Finally(DashboardGuard.Protect);
        return group;
    }

    private static void Check(string pattern, GracefulDashboardOptions options, IAntiforgery? antiforgery)
    {
        if (string.IsNullOrEmpty(options.ActionPolicy))
        {
            throw new InvalidOperationException(
                $"The dashboard at \"{pattern}\" has AllowActions and must have an ActionPolicy, or anybody could "
                + "drain the server. Set ActionPolicy to the name of an authorization policy.");
        }

        if (antiforgery is null)
        {
            throw new InvalidOperationException(
                $"The dashboard at \"{pattern}\" has AllowActions and needs antiforgery, or a foreign page could drain "
                + "the server. Call builder.Services.AddAntiforgery().");
        }
    }
}
