using System.Net;
using System.Net.Security;
using GracefulConnections.Benchmarks.Load;
using GracefulConnections.Benchmarks.Reporting;
using GracefulConnections.Benchmarks.Serving;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>Loads two servers in turn, a pair of windows at a time, and swaps the order from pair to pair.</summary>
internal abstract class LoadBenchmark : IBenchmark
{
    private static readonly TimeSpan QuietCompilation = TimeSpan.FromMilliseconds(2);

    public abstract string Name { get; }

    public abstract string Description { get; }

    /// <summary>Gets whether the connections are encrypted.</summary>
    protected virtual bool UsesTls => false;

    /// <summary>Gets what one unit of work is called.</summary>
    protected abstract string Unit { get; }

    public void Configure(ListenOptions endpoint, Variant variant)
    {
        if (UsesTls)
        {
            endpoint.UseHttps(TestCertificate.Server);
        }

        if (variant == Variant.Graceful)
        {
            endpoint.UseGracefulShutdown();
        }

        endpoint.Run(ServeAsync);
    }

    public async Task RunAsync(BenchmarkOptions options, Figures figures)
    {
        for (var round = 0; round < options.Rounds;)
        {
            await using var stock = await ServerProcess.StartAsync(this, Variant.Stock);
            await using var graceful = await ServerProcess.StartAsync(this, Variant.Graceful);
            using var stockLoad = await CreateLoadAsync(stock);
            using var gracefulLoad = await CreateLoadAsync(graceful);
            await WarmUpAsync(stock, stockLoad, options);
            await WarmUpAsync(graceful, gracefulLoad, options);
            for (var i = 0; i < options.RoundsPerProcess && round < options.Rounds; i++, round++)
            {
                if (round % 2 == 0)
                {
                    await MeasureAsync(Variant.Stock, stock, stockLoad, options, figures);
                    await MeasureAsync(Variant.Graceful, graceful, gracefulLoad, options, figures);
                }
                else
                {
                    await MeasureAsync(Variant.Graceful, graceful, gracefulLoad, options, figures);
                    await MeasureAsync(Variant.Stock, stock, stockLoad, options, figures);
                }
            }
        }
    }

    // The runtime compiles code to its last tier when it was called often enough, which slow work does later; and what it compiles in a window counts as the server's
    // processor time there.
    private static async Task WarmUpAsync(ServerProcess server, ILoad load, BenchmarkOptions options)
    {
        load.Run(options.WarmUp);
        for (var i = 0; i < options.MaxExtraWarmUps; i++)
        {
            var before = await server.GetStatisticsAsync();
            load.Run(options.Window);
            var after = await server.GetStatisticsAsync();
            if (after.Compilation - before.Compilation < QuietCompilation)
            {
                return;
            }
        }
    }

    /// <summary>Serves one connection. The same code on both servers.</summary>
    protected abstract Task ServeAsync(ConnectionContext connection);

    /// <param name="endPoint">The server.</param>
    /// <param name="tls">How to trust it; <see langword="null"/> without TLS.</param>
    protected abstract ILoad CreateLoad(IPEndPoint endPoint, SslClientAuthenticationOptions? tls);

    private async Task<ILoad> CreateLoadAsync(ServerProcess server)
    {
        if (!UsesTls)
        {
            return CreateLoad(server.EndPoint, null);
        }

        var tls = TestCertificate.Trusting(await server.GetCertificateAsync());
        tls.AllowTlsResume = false; // A whole handshake each time: how often a session can be resumed must not decide.
        return CreateLoad(server.EndPoint, tls);
    }

    private async Task MeasureAsync(Variant variant, ServerProcess server, ILoad load, BenchmarkOptions options, Figures figures)
    {
        var before = await server.GetStatisticsAsync();
        var ownBefore = Environment.CpuUsage.TotalTime;
        var result = load.Run(options.Window);
        var own = Environment.CpuUsage.TotalTime - ownBefore;
        var after = await server.GetStatisticsAsync();

        figures.Add(variant, $"{Unit}s/s", result.Count / result.Elapsed.TotalSeconds);
        figures.Add(variant, $"server CPU us/{Unit}", (after.Processor - before.Processor).TotalMicroseconds / result.Count);
        figures.Add(variant, "p99 latency us", result.Latencies.GetPercentile(0.99));
        figures.Add(variant, $"allocated B/{Unit}", (after.AllocatedBytes - before.AllocatedBytes) / (double)result.Count);
        figures.Add(variant, $"load generator CPU us/{Unit}", own.TotalMicroseconds / result.Count);
    }
}
