using System.Security.Authentication;
using System.Security.Cryptography;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Http.EarlyRejection;

/// <summary>.NET's HttpClient, speaking HTTP/1.1.</summary>
internal sealed class HttpClientUploader : IUploader
{
    private static readonly byte[] Upload = new byte[EarlyRejectionApp.UploadBytes];

    public string Name => ".NET HttpClient";

    public async Task<int> CountWholeAnswersAsync(UploadTarget target, int status, int count)
    {
        using var handler = new SocketsHttpHandler { PooledConnectionLifetime = TimeSpan.Zero }; // No connection serves twice.
        if (target.Certificate is { } certificate)
        {
            handler.SslOptions = TestCertificate.Trusting(certificate);
            handler.SslOptions.TargetHost = null; // The address's.
        }

        using var client = new HttpClient(handler);
        var whole = 0;
        for (var i = 0; i < count; i++)
        {
            try
            {
                whole += await IsWholeAsync(client, target.GetAddress(status), status) ? 1 : 0;
            }
            catch (HttpRequestException exception) when (exception.InnerException is AuthenticationException)
            {
                throw new InvalidOperationException("HttpClient did not trust the certificate.", exception);
            }
            catch (Exception exception) when (exception is HttpRequestException or IOException)
            {
                // A lost answer: it is not counted.
            }
        }

        return whole;
    }

    private static async Task<bool> IsWholeAsync(HttpClient client, Uri address, int status)
    {
        using var content = new ByteArrayContent(Upload);
        using var response = await client.PostAsync(address, content);
        var hash = Convert.ToHexStringLower(SHA256.HashData(await response.Content.ReadAsByteArrayAsync()));
        return (int)response.StatusCode == status
            && response.Headers.TryGetValues(EarlyRejectionApp.HashHeader, out var header)
            && header.Single() == EarlyRejectionApp.AnswerHash
            && hash == EarlyRejectionApp.AnswerHash;
    }
}
