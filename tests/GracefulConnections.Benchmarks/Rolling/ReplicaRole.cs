using System.Globalization;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>
/// A replica's process: HTTP with a readiness check, and a raw request-reply protocol. Ends by SIGTERM, or with its
/// standard input.
/// </summary>
internal static class ReplicaRole
{
    public const string Command = "replica";
    public const string ReadyPath = "/ready";
    public const string ReadyLine = "ready";

    private static readonly byte[] Reply = new byte[RollingPlan.ReplyBytes];

    public static async Task RunAsync(Variant variant, int httpPort, int rawPort, RollingPlan plan)
    {
        var isGraceful = variant == Variant.Graceful;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var checks = builder.Services.AddHealthChecks();
        if (isGraceful)
        {
            checks.AddDrainCheck();
            builder.Services.AddGracefulShutdown(drain => drain.AnnounceDelay = plan.AnnounceDelay);
        }
        else
        {
            builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = plan.StockTimeout);
        }

        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, httpPort, endpoint =>
            {
                if (isGraceful)
                {
                    endpoint.UseGracefulShutdown();
                }
            });
            kestrel.Listen(IPAddress.Loopback, rawPort, endpoint =>
            {
                if (isGraceful)
                {
                    endpoint.UseGracefulShutdown(options =>
                    {
                        options.MessageGap = plan.MessageGap;
                        options.QuietTime = plan.MessageGap < options.QuietTime ? plan.MessageGap : options.QuietTime;
                    });
                }

                endpoint.Run(ServeAsync);
            });
        });
        var app = builder.Build();
        app.MapHealthChecks(ReadyPath);
        app.MapGet("/", (RequestDelegate)ServeAsync);
        await app.StartAsync();
        Console.WriteLine(ReadyLine);
        _ = Task.Run(EndWithInput);
        await app.WaitForShutdownAsync();
    }

    /// <summary>Returns the arguments for <see cref="Read"/>.</summary>
    public static string[] Write(RollingPlan plan) =>
    [
        Format(plan.AnnounceDelay.TotalMilliseconds),
        Format(plan.MessageGap.TotalMilliseconds),
        Format(plan.StockTimeout.TotalMilliseconds),
    ];

    /// <summary>Reads what a replica needs to know of the plan.</summary>
    public static RollingPlan Read(string[] arguments) => new(0, 0, Parse(arguments[0]), Parse(arguments[1]), Parse(arguments[2]));

    private static string Format(double milliseconds) => milliseconds.ToString(CultureInfo.InvariantCulture);

    private static TimeSpan Parse(string milliseconds) =>
        TimeSpan.FromMilliseconds(double.Parse(milliseconds, CultureInfo.InvariantCulture));

    private static async Task ServeAsync(HttpContext context)
    {
        await Task.Delay(RollingPlan.Work);
        context.Response.ContentLength = Reply.Length;
        await context.Response.BodyWriter.WriteAsync(Reply);
    }

    // A handler that knows nothing of closing.
    private static async Task ServeAsync(ConnectionContext connection)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            var read = await input.ReadAtLeastAsync(RollingPlan.RequestBytes);
            if (read.Buffer.Length < RollingPlan.RequestBytes)
            {
                return;
            }

            input.AdvanceTo(read.Buffer.GetPosition(RollingPlan.RequestBytes));
            await Task.Delay(RollingPlan.Work);
            await output.WriteAsync(Reply);
        }
    }

    private static void EndWithInput()
    {
        Console.In.ReadToEnd();
        Environment.Exit(1);
    }
}
