using System.Globalization;
using System.Net;
using GracefulConnections.Benchmarks.Rows;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>The server process: says its port, answers one line for each line it is asked, and ends with its standard input.</summary>
internal static class ServerRole
{
    public const string StatisticsCommand = "statistics";
    public const string ManagedBytesCommand = "managed-bytes";

    private const int CollectionCount = 3; // What a finalizer keeps alive goes with the second, and what its sockets kept with the third.

    public static async Task RunAsync(IBenchmark benchmark, Variant variant)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        ListenOptions? listening = null;
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
        {
            listening = endpoint;
            benchmark.Configure(endpoint, variant);
        }));
        var app = builder.Build();
        await app.StartAsync();
        Console.WriteLine(listening!.IPEndPoint!.Port);
        while (Console.ReadLine() is { } command)
        {
            Console.WriteLine(command switch
            {
                StatisticsCommand => GetStatistics(),
                ManagedBytesCommand => GetManagedBytes(),
                _ => throw new InvalidOperationException($"Unknown command {command}."),
            });
        }
    }

    private static string GetStatistics() =>
        string.Create(CultureInfo.InvariantCulture, $"{Environment.CpuUsage.TotalTime.Ticks} {GC.GetTotalAllocatedBytes(precise: true)}");

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
