using System.Security.Cryptography;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.Http.EarlyRejection;

/// <summary>The server's side: it rejects every upload while the body is still on its way, with an answer of which a lost or changed byte would show.</summary>
internal static class EarlyRejectionApp
{
    public const string HashHeader = "X-Body-Hash";

    public const int UploadBytes = 20_000_000;

    private const int AnswerBytes = 64 * 1024;
    private const long MaxRequestBodySize = 1_000_000;

    private static readonly byte[] Answer = CreateAnswer();

    /// <summary>Gets the SHA-256 of the answer's body, in lower case.</summary>
    public static string AnswerHash { get; } = Convert.ToHexStringLower(SHA256.HashData(Answer));

    /// <summary>Gets the status codes it rejects with, each at the path of its name.</summary>
    public static int[] Statuses { get; } = [StatusCodes.Status413PayloadTooLarge, StatusCodes.Status401Unauthorized];

    public static void Configure(KestrelServerOptions kestrel) => kestrel.Limits.MaxRequestBodySize = MaxRequestBodySize;

    /// <summary>Rejects: with 401 as a middleware that never looks at the body, with 413 as an application that Kestrel tells of its limit.</summary>
    public static async Task RejectAsync(HttpContext context)
    {
        context.Response.StatusCode = StatusCodes.Status401Unauthorized;
        if (context.Request.Path == $"/{StatusCodes.Status413PayloadTooLarge}")
        {
            try
            {
                await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
            }
            catch (Microsoft.AspNetCore.Http.BadHttpRequestException exception)
            {
                context.Response.StatusCode = exception.StatusCode;
            }
        }

        context.Response.ContentLength = AnswerBytes;
        context.Response.Headers[HashHeader] = AnswerHash;
        await context.Response.Body.WriteAsync(Answer, context.RequestAborted);
    }

    private static byte[] CreateAnswer()
    {
        var bytes = new byte[AnswerBytes];
        new Random(1).NextBytes(bytes);
        return bytes;
    }
}
