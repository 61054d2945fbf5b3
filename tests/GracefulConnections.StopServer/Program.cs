using System.Buffers;
using System.Net;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

// What a functional test stops: one handler that knows nothing of closing, on an endpoint that closes by this library, or as it comes from Kestrel (--Stock true). With --Stall it has a
// second endpoint, which gives up on a peer that takes nothing for so long.
var builder = WebApplication.CreateSlimBuilder(args);
if (builder.Configuration["NoDescriptors"] is { } kind)
{
    await NoDescriptors.RunAsync(kind);
    return;
}

var work = builder.Configuration.GetValue("Work", TimeSpan.FromSeconds(1));
var isStock = builder.Configuration.GetValue<bool>("Stock");
IHostApplicationLifetime? lifetime = null;
IDrainCoordinator? drain = null;
var systemd = builder.Configuration.GetValue("Systemd", "UseBefore");
AddSystemd("Before");
builder.Services.Configure<HostOptions>(builder.Configuration.GetSection("Host"));
if (builder.Configuration.GetValue<TimeSpan?>("SlowSignal") is { } signalTime)
{
    builder.Services.AddHostedService(_ => new SlowSignal(signalTime));
}

if (!isStock)
{
    builder.Services.AddGracefulShutdown(builder.Configuration.GetSection("Drain").Bind);
}

AddSystemd("After");
if (builder.Configuration.GetValue<bool>("NeverStarts"))
{
    builder.Services.AddHostedService<NeverStarts>();
}

builder.WebHost.ConfigureKestrel(kestrel =>
{
    Listen(kestrel, stall: null);
    if (builder.Configuration.GetValue<TimeSpan?>("Stall") is { } stall)
    {
        Listen(kestrel, stall);
    }
});

void Listen(KestrelServerOptions kestrel, TimeSpan? stall) => kestrel.Listen(IPAddress.Loopback, 0, endpoint =>
{
    if (!isStock)
    {
        endpoint.UseGracefulShutdown(options =>
        {
            options.FlushStallTimeout = stall ?? options.FlushStallTimeout;
            options.IdleTimeout = builder.Configuration.GetValue<TimeSpan?>("Idle");
            options.LingerIdleTimeout = Timeout.InfiniteTimeSpan; // The drain's own is what is tested.
            options.GoodbyeTimeout = TimeSpan.FromMinutes(1); // Two thousand may be said at once, on a busy machine.
            options.Goodbye = static async (connection, _, cancellationToken) => await connection.Transport.Output.WriteAsync("bye"u8.ToArray(), cancellationToken);
        });
    }

    endpoint.Run(ServeAsync);
});

if (builder.Configuration.GetValue<int?>("MinThreads") is { } minThreads)
{
    ThreadPool.SetMinThreads(minThreads, minThreads);
}

var app = builder.Build();
lifetime = app.Lifetime;
drain = app.Services.GetService<IDrainCoordinator>();
if (builder.Configuration.GetValue<bool>("StuckCallback"))
{
    app.Services.GetRequiredService<IDrainCoordinator>().DrainAnnounced.Register(static () => Block());
}

if (builder.Configuration.GetValue<bool>("Twin"))
{
    // Another host in the same process, which hears the same signals.
    var twin = WebApplication.CreateSlimBuilder();
    twin.Services.AddGracefulShutdown(builder.Configuration.GetSection("Drain").Bind);
    twin.WebHost.ConfigureKestrel(static kestrel => kestrel.Listen(
        IPAddress.Loopback, 0, static endpoint => endpoint.UseGracefulShutdown().Run(static _ => Task.CompletedTask)));
    await Task.WhenAll(app.RunAsync(), twin.Build().RunAsync());
}
else
{
    app.Run();
}

void AddSystemd(string when)
{
    if (systemd == $"Use{when}")
    {
        builder.Host.UseSystemd();
    }
    else if (systemd == $"Add{when}")
    {
        builder.Services.AddSystemd();
    }
}

static void Block() => new ManualResetEventSlim().Wait();

// Each byte is a request: 'p' is answered at once with one byte, 'w' after the work with 100,000, and 'f' with more than
// the kernels hold, by two flushes that are awaited at once. 'r' is answered with 1,500,000 bytes and 's' with more than
// the kernels hold, and both by a return. 'b' blocks its thread for ever. 'q' stops the host, 'd' drains it while it goes
// on, 'g' asks for all connections while every other thread of the pool is blocked, and all three are answered as 'p'.
async Task ServeAsync(ConnectionContext connection)
{
    var (input, output) = (connection.Transport.Input, connection.Transport.Output);
    while (true)
    {
        var read = await input.ReadAsync();
        if (read.Buffer.IsEmpty && read.IsCompleted)
        {
            return;
        }

        if (read.Buffer.FirstSpan[0] == (byte)'f')
        {
            _ = output.WriteAsync(new byte[30_000_000]).AsTask(); // Blocked, because the peer does not read.
            try
            {
                await output.WriteAsync(new byte[1]);
            }
            catch (InvalidOperationException)
            {
                // A pipe's writer may refuse the second flush.
            }

            return;
        }

        if (read.Buffer.FirstSpan[0] is (byte)'r' or (byte)'s')
        {
            _ = output.WriteAsync(new byte[read.Buffer.FirstSpan[0] == (byte)'r' ? 1_500_000 : 30_000_000]).AsTask();
            return;
        }

        if (read.Buffer.FirstSpan[0] == (byte)'b')
        {
            Block();
        }

        if (read.Buffer.FirstSpan[0] == (byte)'q')
        {
            lifetime!.StopApplication();
        }

        if (read.Buffer.FirstSpan[0] == (byte)'d')
        {
            _ = drain?.DrainAsync();
        }

        if (read.Buffer.FirstSpan[0] == (byte)'g')
        {
            BusyPool.Run(() => drain?.GetConnections());
        }

        var isWork = read.Buffer.FirstSpan[0] == (byte)'w';
        input.AdvanceTo(read.Buffer.GetPosition(1));
        if (isWork)
        {
            await Task.Delay(work);
        }

        await output.WriteAsync(new byte[isWork ? 100_000 : 1]);
    }
}

// A service that is starting until the host gives up.
internal sealed class NeverStarts(ILogger<NeverStarts> logger) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        logger.LogInformation("Starting for ever.");
        return Task.Delay(Timeout.Infinite, cancellationToken);
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
