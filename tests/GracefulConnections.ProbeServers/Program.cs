using System.Globalization;
using System.Net;
using GracefulConnections.ProbeServers;
using Microsoft.AspNetCore.Connections;

// One handler on stock Kestrel or with the library, to be judged: GracefulConnections.ProbeServers stock|graceful PORT
var isGraceful = args[0] == "graceful";
var port = int.Parse(args[1], CultureInfo.InvariantCulture);
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.SetMinimumLevel(LogLevel.Error);
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, port, endpoint =>
{
    if (isGraceful)
    {
        endpoint.UseGracefulShutdown();
    }

    endpoint.Run(LineHandler.ServeAsync);
}));
if (isGraceful)
{
    builder.Services.AddGracefulShutdown();
}

builder.Build().Run();
