using System.Net;
using Microsoft.AspNetCore.Connections;

// Talk to it with any TCP client: nc 127.0.0.1 5000
var builder = WebApplication.CreateSlimBuilder(args);

builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 5000, endpoint =>
    endpoint.UseGracefulShutdown().Run(connection => connection.Transport.Input.CopyToAsync(connection.Transport.Output))));

builder.Build().Run();
