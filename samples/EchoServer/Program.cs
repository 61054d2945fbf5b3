using System.Net;
using Microsoft.AspNetCore.Connections;

// Talk to it with any TCP client: nc 127.0.0.1 5000
var builder = WebApplication.CreateSlimBuilder(args);

builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 5000, endpoint =>
    endpoint.UseGracefulShutdown().Run(connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output))));

// Start it a second time, and the second process takes over from the first.
if (args.Contains("--handover"))
{
    builder.Services.AddListenerHandover(options => options.SocketPath = "handover.sock");
}

builder.Build().Run();
