using System.Text;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace GracefulConnections.Dashboard;

/// <summary>
/// Sends the pictures as server-sent events, until the viewer goes or the drain has nobody else to wait for.
/// </summary>
internal sealed class DashboardEvents(DashboardFeed feed)
{
    private static readonly byte[] Data = "data: "u8.ToArray();
    private static readonly byte[] End = "\n\n"u8.ToArray();

    public async Task StreamAsync(HttpContext context)
    {
        if (feed.Enter(context.Connection.Id) is not { } viewer)
        {
            context.Response.Headers.RetryAfter = "10";
            await DashboardAnswer.ErrorAsync(
                context,
                StatusCodes.Status503ServiceUnavailable,
                $"{DashboardFeed.MaxViewers} pages are open, which is the limit. Close one, or try again later.")
                .ConfigureAwait(false);
            return;
        }

        try
        {
            viewer.Show(feed.TakePicture());
            context.Response.ContentType = "text/event-stream";
            context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
            await foreach (var picture in viewer.ReadAllAsync(context.RequestAborted).ConfigureAwait(false))
            {
                var body = context.Response.Body;
                await body.WriteAsync(Data).ConfigureAwait(false);
                await JsonSerializer
                    .SerializeAsync(body, picture, DashboardJson.Default.DashboardSummary, context.RequestAborted)
                    .ConfigureAwait(false);
                await body.WriteAsync(End).ConfigureAwait(false);
                await body.FlushAsync(context.RequestAborted).ConfigureAwait(false);
            }

            // The page must not come again at once: this server is about to be gone.
            await context.Response.Body.WriteAsync(Encoding.ASCII.GetBytes("event: over\nretry: 5000\ndata: {}\n\n"))
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The page was closed.
        }
        finally
        {
            feed.Leave(viewer);
        }
    }
}
