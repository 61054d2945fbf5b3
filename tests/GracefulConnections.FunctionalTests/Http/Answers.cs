using GracefulConnections.FunctionalTests.RealClients;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>What the servers of these tests answer. All of it says its length, so that the end of an answer is not the end of its connection.</summary>
internal static class Answers
{
    /// <summary>Sends <see cref="Reply"/>.</summary>
    public static async Task SendReplyAsync(HttpContext context)
    {
        context.Response.ContentLength = Reply.Length;
        await context.Response.Body.WriteAsync(Reply.Bytes, context.RequestAborted);
    }

    public static async Task SendTextAsync(HttpContext context, string text)
    {
        context.Response.ContentLength = text.Length;
        await context.Response.WriteAsync(text, context.RequestAborted);
    }
}
