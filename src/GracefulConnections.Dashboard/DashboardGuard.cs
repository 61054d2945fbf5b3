using System.Net;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.Dashboard;

/// <summary>Says who may see the dashboard: whoever its policy lets in, and without one this machine only.</summary>
internal static class DashboardGuard
{
    private const string NotLocal =
        "The dashboard has no authorization policy, so it answers requests of this machine only. "
        + "Put one on it: app.MapGracefulConnections().RequireAuthorization(\"policy\").";

    private const string ContentPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
        + "form-action 'none'; frame-ancestors 'none'";

    private static readonly string[] ProxyHeaders =
        ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"];

    /// <summary>Puts the check in front of a route, once all of its metadata is known.</summary>
    public static void Protect(EndpointBuilder endpoint)
    {
        var inner = endpoint.RequestDelegate!;
        endpoint.RequestDelegate = context =>
        {
            var headers = context.Response.Headers;
            headers.CacheControl = "no-store";
            headers.ContentSecurityPolicy = ContentPolicy;
            headers.XContentTypeOptions = "nosniff";
            headers["Referrer-Policy"] = "no-referrer";
            return HasPolicy(context) || IsLocal(context)
                ? inner(context)
                : DashboardAnswer.ErrorAsync(context, StatusCodes.Status403Forbidden, NotLocal);
        };
    }

    private static bool HasPolicy(HttpContext context) =>
        context.GetEndpoint()?.Metadata is { } metadata
        && (metadata.GetMetadata<IAuthorizeData>() is not null
            || metadata.GetMetadata<AuthorizationPolicy>() is not null)
        && metadata.GetMetadata<IAllowAnonymous>() is null;

    // A proxy on this machine passes on requests of others, and a page of somebody else's may have given its name the
    // address of this machine. A server in memory has no addresses.
    private static bool IsLocal(HttpContext context)
    {
        var request = context.Request;
        return context.Connection.RemoteIpAddress is var peer
            && (peer is null || IPAddress.IsLoopback(peer))
            && IsLocalName(request.Host.Host)
            && !HttpProtocol.IsHttp10(request.Protocol) // No browser's. nginx adds no header by default, but speaks it.
            && !ProxyHeaders.Any(request.Headers.ContainsKey);
    }

    private static bool IsLocalName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase)
        || (IPAddress.TryParse(host.Trim('[', ']'), out var address) && IPAddress.IsLoopback(address));
}
