using System.Net;
using GracefulConnections;
using GracefulServer;
using Microsoft.AspNetCore.Connections;

var builder = WebApplication.CreateSlimBuilder(args);

builder.WebHost.ConfigureKestrel(kestrel =>
{
    // UseGracefulShutdown() comes first; with TLS it comes directly behind UseHttps().
    kestrel.Listen(IPAddress.Any, 5000, endpoint => endpoint.UseGracefulShutdown().UseConnectionHandler<LineHandler>());
    kestrel.Listen(IPAddress.Any, 8080); // HTTP, for GET /ready.
});

// "Drain": { "AnnounceDelay": "00:00:05" } in appsettings.json, or Drain__AnnounceDelay in the environment.
builder.Services.AddGracefulShutdown(drain => builder.Configuration.GetSection("Drain").Bind(drain));
builder.Services.AddHealthChecks().AddDrainCheck();
builder.Services.AddSystemd(); // Does nothing where systemd has not started the process.

var app = builder.Build();
app.MapHealthChecks("/ready");
app.Run();
