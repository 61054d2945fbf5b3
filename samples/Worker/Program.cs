using System.Net;
using Microsoft.AspNetCore.Connections;
using Worker;

// Subscribe with any TCP client: nc 127.0.0.1 7000
// Then stop it with Ctrl+C and read the log: announced, feed stopped, goodbyes, drained, flushed.
var builder = WebApplication.CreateSlimBuilder(args);
builder.Logging.AddSimpleConsole(console =>
{
    console.SingleLine = true;
    console.TimestampFormat = "HH:mm:ss.fff ";
});

builder.Services.Configure<FeedOptions>(builder.Configuration.GetSection("Feed"));
builder.Services.AddOptions<GracefulConnections.ServerDrainOptions>()
    .BindConfiguration("Drain", static binder => binder.ErrorOnUnknownConfiguration = true);
builder.Services.AddGracefulShutdown();
builder.Services.AddSingleton<Ledger>();
builder.Services.AddHostedService(services => services.GetRequiredService<Ledger>());
builder.Services.AddSingleton<TickFeed>();
builder.Services.AddHostedService(services => services.GetRequiredService<TickFeed>());

builder.WebHost.ConfigureKestrel(kestrel =>
{
    var port = builder.Configuration.GetValue("Feed:Port", 7000);
    kestrel.Listen(IPAddress.Loopback, port, endpoint => endpoint.UseGracefulShutdown().UseConnectionHandler<SubscriberHandler>());
});

builder.Build().Run();
