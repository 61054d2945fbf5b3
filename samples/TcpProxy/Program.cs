using System.Buffers;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;
using TcpProxy;

// Relays any protocol over TCP: dotnet run --project samples/TcpProxy -- --Proxy:Connect 127.0.0.1:6380
// A relay never blocks a thread, so what a socket is ready for may be done on the thread that learns of it.
Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
var builder = WebApplication.CreateSlimBuilder(args);
var errors = new List<string>();
var settings = new Settings(builder.Configuration, errors);
if (errors.Count > 0)
{
    errors.ForEach(Console.Error.WriteLine);
    return 1;
}

builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
builder.Services.AddSingleton(settings);
builder.Services.AddSingleton(TimeProvider.System);
builder.Services.AddSingleton<RelayCounters>();
builder.Services.AddHostedService<CounterLine>();
builder.Services.AddOptions<ServerDrainOptions>()
    .BindConfiguration("Drain", static binder => binder.ErrorOnUnknownConfiguration = true); // --Drain:DrainTimeout 0:01:00
builder.Services.AddGracefulShutdown();
builder.Services.AddGracefulConnectionFactory(outgoing => (outgoing.ConnectTimeout, outgoing.ReadBlockSize,
    outgoing.WaitForDataBeforeAllocatingBuffer) = (settings.ConnectTimeout, 128 * 1024, false));

// A relay reads all the time: without the question whether there is something to read, each read is one system call and
// not two. An idle pair of connections holds a block of 64 KiB and one of 128 KiB.
builder.Services.AddSingleton<IMemoryPoolFactory<byte>, LargeBlocks>();
builder.WebHost.UseSockets(sockets =>
    (sockets.WaitForDataBeforeAllocatingBuffer, sockets.UnsafePreferInlineScheduling) = (false, true));
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(settings.Listen, endpoint =>
    endpoint.UseGracefulShutdown(settings.Downstream).UseConnectionHandler<RelayHandler>()));
builder.Build().Run();
return 0;
