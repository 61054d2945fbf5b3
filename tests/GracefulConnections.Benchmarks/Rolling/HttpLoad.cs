using System.Net;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>A peer that sends one HTTP request after another, as .NET's own client does it.</summary>
internal static class HttpLoad
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    public static async Task RunAsync(IPEndPoint server, bool closes, RequestTally tally, CancellationToken end)
    {
        using var client = new HttpClient { BaseAddress = new Uri($"http://{server}"), Timeout = Limit };
        client.DefaultRequestHeaders.ConnectionClose = closes;
        while (!end.IsCancellationRequested)
        {
            try
            {
                using var response = await client.GetAsync(new Uri("/", UriKind.Relative), CancellationToken.None);
                var body = await response.Content.ReadAsByteArrayAsync(CancellationToken.None);
                if (response.StatusCode == HttpStatusCode.OK && body.Length == RollingPlan.ReplyBytes)
                {
                    tally.Succeed();
                }
                else
                {
                    tally.Fail($"{(int)response.StatusCode} with {body.Length} bytes");
                }
            }
            catch (Exception exception) when (exception is HttpRequestException or OperationCanceledException)
            {
                tally.Fail(exception is HttpRequestException http ? $"{http.HttpRequestError}" : "no answer");
            }

            await Task.Delay(RollingPlan.LongestPause * Random.Shared.NextDouble(), CancellationToken.None);
        }
    }
}
