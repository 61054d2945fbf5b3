using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.FunctionalTests.Http;
using GracefulConnections.FunctionalTests.Http.EarlyRejection;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>Uploads that the server rejects at once, by real HTTP clients: how many of them read the whole answer. A count and no time, so that one answer too few fails the command.</summary>
internal sealed class EarlyRejectionBenchmark(TlsPlacement placement) : IBenchmark
{
    private const int BatchSize = 50; // Requests to one server before it is the other's turn.

    private static readonly IUploader[] Uploaders = [new PythonUploader("python3"), new HttpClientUploader(), new CurlUploader("curl")];

    public string Name => placement switch
    {
        TlsPlacement.Inside => "early-rejection-inside-tls",
        TlsPlacement.Outside => "early-rejection-outside-tls",
        _ => "early-rejection-plaintext",
    };

    public string Description => $"answers read whole, of uploads of {EarlyRejectionApp.UploadBytes:N0} bytes that are rejected at once";

    public void ConfigureServices(IServiceCollection services, Variant variant)
    {
        services.Configure<KestrelServerOptions>(EarlyRejectionApp.Configure);
        services.AddSingleton<IStartupFilter>(new TerminalStartupFilter(EarlyRejectionApp.RejectAsync));
    }

    public void Configure(ListenOptions endpoint, Variant variant)
    {
        endpoint.Protocols = HttpProtocols.Http1;
        if (variant == Variant.Graceful && placement == TlsPlacement.Outside)
        {
            endpoint.UseGracefulShutdown();
        }

        if (placement != TlsPlacement.Plaintext)
        {
            endpoint.UseHttps(TestCertificate.Server);
        }

        if (variant == Variant.Graceful && placement != TlsPlacement.Outside)
        {
            endpoint.UseGracefulShutdown();
        }
    }

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        await using var stock = await ServerProcess.StartAsync(this, Variant.Stock);
        await using var graceful = await ServerProcess.StartAsync(this, Variant.Graceful);
        using var stockTarget = await CreateTargetAsync(stock);
        using var gracefulTarget = await CreateTargetAsync(graceful);
        foreach (var status in EarlyRejectionApp.Statuses)
        {
            foreach (var uploader in Uploaders)
            {
                var (fromStock, fromGraceful) = (0, 0);
                for (var done = 0; done < options.Requests; done += BatchSize)
                {
                    var batch = Math.Min(BatchSize, options.Requests - done);
                    fromStock += await uploader.CountWholeAnswersAsync(stockTarget, status, batch);
                    fromGraceful += await uploader.CountWholeAnswersAsync(gracefulTarget, status, batch);
                }

                figures.AddCount(new Count($"{status}, {uploader.Name}", options.Requests, fromStock, fromGraceful));
            }
        }
    }

    private async Task<UploadTarget> CreateTargetAsync(ServerProcess server) =>
        new(server.EndPoint.Port, placement == TlsPlacement.Plaintext ? null : await server.GetCertificateAsync());
}
