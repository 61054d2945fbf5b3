using GracefulConnections.FunctionalTests.Http.EarlyRejection;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Http;

namespace GracefulConnections.FunctionalTests.Http;

/// <summary>
/// Real clients that upload what the server rejects at once. With <c>UseGracefulShutdown()</c> every one reads its
/// answer. How many read it from stock Kestrel is luck: one client shows that some are lost, and the benchmarks count.
/// </summary>
public class EarlyRejectionTests
{
    private const int Count = 10; // The benchmarks count hundreds.
    private const int StockCount = 40; // So many that at least one is lost.

    private const string Curl = "curl";
    private const string HttpClient = "HttpClient";
    private const string Python = "Python";

    public static TheoryData<TlsPlacement, int, string> Combinations { get; } = new MatrixTheoryData<TlsPlacement, int, string>(
        Enum.GetValues<TlsPlacement>(), EarlyRejectionApp.Statuses, [Curl, HttpClient, Python]);

    [Theory]
    [MemberData(nameof(Combinations))]
    public async Task EarlyRejection_RealClient_ReadsEveryAnswer(TlsPlacement placement, int status, string client)
    {
        var uploader = Create(client);
        await using var server = await HttpServer.StartAsync(EarlyRejectionApp.RejectAsync, placement);

        Assert.Equal(Count, await CountAsync(server, placement, uploader, status, Count));

        for (var i = 0; i < Count; i++)
        {
            // A client that has what it wanted closes: without reading our close_notify, or before Kestrel's HTTP has
            // returned. EarlyAnswerTests have peers that wait.
            await server.AssertEndedByPeerAsync();
        }
    }

    [Fact]
    public async Task EarlyRejection_PythonAtStockKestrel_MissesAnswers()
    {
        await using var server = await HttpServer.StartStockAsync(EarlyRejectionApp.RejectAsync);

        var count = await CountAsync(server, TlsPlacement.Plaintext, Create(Python), StatusCodes.Status413PayloadTooLarge, StockCount);

        Assert.InRange(count, 0, StockCount - 1);
    }

    private static IUploader Create(string client) => client switch
    {
        Curl => new CurlUploader(RequiredProgram.Find("curl", "curl")),
        Python => new PythonUploader(RequiredProgram.Find("python3", "python3")),
        _ => new HttpClientUploader(),
    };

    private static async Task<int> CountAsync(TestServer server, TlsPlacement placement, IUploader uploader, int status, int count)
    {
        using var target = new UploadTarget(server.Port, placement == TlsPlacement.Plaintext ? null : TestCertificate.Server);
        return await uploader.CountWholeAnswersAsync(target, status, count).InTimeAsync();
    }
}
