using System.Text.Json;
using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.Dashboard;

/// <summary>Does what a page asks for: a drain, or the abort of one connection.</summary>
internal sealed class DashboardActions(IDrainCoordinator drain, DashboardFeed feed, IAntiforgery antiforgery)
{
    private const string Forged =
        "The request does not come from the dashboard's own page: its antiforgery token is missing or not valid, or "
        + "its Origin is another one. Load the page again.";

    private const string Nothing =
        "The request names no connections. Give \"filter\" or \"tag\" some text, or set \"all\" to true.";

    /// <summary>Returns what is said of a connection that is not there.</summary>
    public static string Gone(string id) =>
        $"There is no connection \"{ConnectionRow.Spell(id)}\". It has ended meanwhile, or never was.";

    public async Task AbortAsync(HttpContext context)
    {
        if (!await IsOwnPageAsync(context).ConfigureAwait(false))
        {
            await DashboardAnswer.ErrorAsync(context, StatusCodes.Status403Forbidden, Forged).ConfigureAwait(false);
            return;
        }

        var id = (string)context.Request.RouteValues["id"]!;
        if (drain.Abort(id))
        {
            context.Response.StatusCode = StatusCodes.Status204NoContent;
            return;
        }

        await DashboardAnswer.ErrorAsync(context, StatusCodes.Status404NotFound, Gone(id)).ConfigureAwait(false);
    }

    public async Task DrainAsync(HttpContext context)
    {
        if (!await IsOwnPageAsync(context).ConfigureAwait(false))
        {
            await DashboardAnswer.ErrorAsync(context, StatusCodes.Status403Forbidden, Forged).ConfigureAwait(false);
            return;
        }

        var (request, error) = await ReadAsync(context).ConfigureAwait(false);
        if (request is null)
        {
            await DashboardAnswer.ErrorAsync(context, StatusCodes.Status400BadRequest, error).ConfigureAwait(false);
            return;
        }

        var count = drain.GetConnections().Count(Chooses);

        // It may take minutes, and the page shows how far it is.
        _ = drain.DrainAsync(Chooses, CreateOptions(request), CancellationToken.None);
        context.Response.StatusCode = StatusCodes.Status202Accepted;
        await DashboardAnswer.JsonAsync(context, new DrainAccepted(count), DashboardJson.Default.DrainAccepted)
            .ConfigureAwait(false);

        // Whoever looks at a drain must not be closed by it.
        bool Chooses(TrackedConnectionInfo info) =>
            !feed.IsOwn(info.ConnectionId)
            && info.ConnectionId != context.Connection.Id
            && (string.IsNullOrEmpty(request.Filter) || ConnectionQuery.Contains(info, request.Filter))
            && (string.IsNullOrEmpty(request.Tag) || ConnectionRow.Spell(info.Tag) == request.Tag);
    }

    private static DrainOptions CreateOptions(DrainRequest request) => new()
    {
        Description = "asked for on the dashboard",
        Timeout = request.TimeoutSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : null,
    };

    private static async Task<(DrainRequest? Request, string Error)> ReadAsync(HttpContext context)
    {
        try
        {
            var request = await JsonSerializer.DeserializeAsync(
                context.Request.Body, DashboardJson.Default.DrainRequest, context.RequestAborted).ConfigureAwait(false);
            return request switch
            {
                null => (null, Nothing),
                { Filter: null or "", Tag: null or "", All: false } => (null, Nothing),
                { TimeoutSeconds: < 0.001 or > 86_400 } => (
                    null, $"\"timeoutSeconds\" is {request.TimeoutSeconds}. It must be from 0.001 to 86400."),
                _ => (request, ""),
            };
        }
        catch (JsonException exception)
        {
            return (null, $"The request is not the JSON that is expected: {exception.Message}");
        }
    }

    private async Task<bool> IsOwnPageAsync(HttpContext context)
    {
        var request = context.Request;
        var origin = request.Headers.Origin.ToString();
        return (origin.Length == 0 || origin == $"{request.Scheme}://{request.Host}")
            && await antiforgery.IsRequestValidAsync(context).ConfigureAwait(false);
    }
}
