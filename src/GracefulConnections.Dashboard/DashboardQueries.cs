using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.Dashboard;

/// <summary>Answers what only looks.</summary>
internal sealed class DashboardQueries(
    DashboardFeed feed, GracefulDashboardOptions options, IAntiforgery? antiforgery)
{
    public Task GetSummaryAsync(HttpContext context)
    {
        var token = options.AllowActions ? antiforgery!.GetAndStoreTokens(context).RequestToken : null;
        var picture = feed.TakePicture() with { AllowsActions = options.AllowActions, RequestToken = token };
        return DashboardAnswer.JsonAsync(context, picture, DashboardJson.Default.DashboardSummary);
    }

    public Task GetConnectionsAsync(HttpContext context)
    {
        if (ConnectionQuery.Read(context.Request.Query, out var error) is not { } query)
        {
            return DashboardAnswer.ErrorAsync(context, StatusCodes.Status400BadRequest, error);
        }

        return DashboardAnswer.JsonAsync(
            context, query.Apply(feed.GetConnections(), feed.IsOwn), DashboardJson.Default.ConnectionPage);
    }

    public Task GetConnectionAsync(HttpContext context)
    {
        var id = (string)context.Request.RouteValues["id"]!;
        var connections = feed.GetConnections();
        var found = connections.FirstOrDefault(info => info.ConnectionId == id);
        return found is null
            ? DashboardAnswer.ErrorAsync(context, StatusCodes.Status404NotFound, DashboardActions.Gone(id))
            : DashboardAnswer.JsonAsync(
                context,
                new ConnectionPage(connections.Count, 1, 0, [ConnectionRow.From(found, feed.IsOwn(id))]),
                DashboardJson.Default.ConnectionPage);
    }
}
