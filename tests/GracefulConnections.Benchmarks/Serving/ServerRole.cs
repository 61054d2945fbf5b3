using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Runtime;
using System.Security.Cryptography.X509Certificates;
using GracefulConnections.Benchmarks.Rows;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>The server process: says its port, answers one line for each line it is asked, and ends with its standard input.</summary>
internal static class ServerRole
{
    public const string StatisticsCommand = "statistics";
    public const string ManagedBytesCommand = "managed-bytes";
    public const string DrainCommand = "drain";
    public const string GetConnectionsCommand = "get-connections";
    public const string PageCommand = "page";
    public const string CertificateCommand = "certificate";

    private const int CollectionCount = 3; // What a finalizer keeps alive goes with the second, and what its sockets kept with the third.

    public static async Task RunAsync(IBenchmark benchmark, Variant variant)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        benchmark.ConfigureServices(builder.Services, variant);
        ListenOptions? listening = null;
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
        {
            listening = endpoint;
            benchmark.Configure(endpoint, variant);
        }));
        var app = builder.Build();
        benchmark.Map(app);
        await app.StartAsync();
        Console.WriteLine(listening!.IPEndPoint!.Port);
        while (Console.ReadLine() is { } command)
        {
            Console.WriteLine(command switch
            {
                StatisticsCommand => GetStatistics(),
                ManagedBytesCommand => GetManagedBytes(),
                DrainCommand => await DrainAsync(app.Services.GetRequiredService<IDrainCoordinator>()),
                GetConnectionsCommand => GetConnections(app.Services.GetRequiredService<IDrainCoordinator>()),
                PageCommand => app.Urls.Select(static url => new Uri(url)).Single(url => url.Port != listening.IPEndPoint.Port).ToString(),
                CertificateCommand => Convert.ToBase64String(TestCertificate.Server.Export(X509ContentType.Cert)),
                _ => throw new InvalidOperationException($"Unknown command {command}."),
            });
        }
    }

    private static string GetStatistics() =>
        string.Create(CultureInfo.InvariantCulture, $"{Environment.CpuUsage.TotalTime.Ticks} {GC.GetTotalAllocatedBytes(precise: true)} {JitInfo.GetCompilationTime().Ticks}");

    private static async Task<string> DrainAsync(IDrainCoordinator coordinator)
    {
        var before = Environment.CpuUsage.TotalTime;
        var report = await coordinator.DrainAsync();
        var processor = Environment.CpuUsage.TotalTime - before;
        return string.Create(CultureInfo.InvariantCulture, $"{report.DeliveredCount} {processor.TotalMilliseconds}");
    }

    private static string GetConnections(IDrainCoordinator coordinator)
    {
        var started = Stopwatch.GetTimestamp();
        var count = coordinator.GetConnections().Count;
        return string.Create(CultureInfo.InvariantCulture, $"{count} {Stopwatch.GetElapsedTime(started).TotalMilliseconds}");
    }

    private static string GetManagedBytes()
    {
        for (var i = 0; i < CollectionCount; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        return GC.GetTotalMemory(forceFullCollection: true).ToString(CultureInfo.InvariantCulture);
    }
}
