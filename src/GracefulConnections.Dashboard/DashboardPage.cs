using Microsoft.AspNetCore.Http;

namespace GracefulConnections.Dashboard;

/// <summary>Writes the page and what belongs to it. All of it is in this assembly.</summary>
internal static class DashboardPage
{
    public static Task WriteAsync(HttpContext context)
    {
        // What the page refers to stands beside it, so its own address must end with a slash.
        var path = context.Request.PathBase.Add(context.Request.Path).ToUriComponent();
        if (path.EndsWith('/'))
        {
            return WriteAsync(context, "dashboard.html", "text/html; charset=utf-8");
        }

        // Relative, because a proxy may have taken a prefix away that the browser's address has.
        context.Response.Redirect($"./{path[(path.LastIndexOf('/') + 1)..]}/");
        return Task.CompletedTask;
    }

    public static Task WriteStyleAsync(HttpContext context) =>
        WriteAsync(context, "dashboard.css", "text/css; charset=utf-8");

    public static Task WriteScriptAsync(HttpContext context) =>
        WriteAsync(context, "dashboard.js", "text/javascript; charset=utf-8");

    private static async Task WriteAsync(HttpContext context, string name, string type)
    {
        context.Response.ContentType = type;
        var file = typeof(DashboardPage).Assembly.GetManifestResourceStream(name)!;
        await using (file.ConfigureAwait(false))
        {
            context.Response.ContentLength = file.Length;
            await file.CopyToAsync(context.Response.Body, context.RequestAborted).ConfigureAwait(false);
        }
    }
}
