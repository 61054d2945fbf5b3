using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using GracefulConnections.ProbeServers;
using Microsoft.AspNetCore.Connections;

// One handler on stock Kestrel or with the library, to be judged: GracefulConnections.ProbeServers stock|graceful PORT [HOST [PEM]]
// With a file that holds a certificate and its key it speaks TLS.
var isGraceful = args[0] == "graceful";
var port = int.Parse(args[1], CultureInfo.InvariantCulture);
var host = args.Length > 2 ? IPAddress.Parse(args[2]) : IPAddress.Loopback;
var certificate = args.Length > 3 ? X509Certificate2.CreateFromPemFile(args[3]) : null;
var builder = WebApplication.CreateSlimBuilder();
builder.Logging.SetMinimumLevel(LogLevel.Error);
builder.WebHost.UseKestrelHttpsConfiguration();
builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(host, port, endpoint =>
{
    if (certificate is not null)
    {
        // Not 10 s: on a machine that is busy enough, that is less than a handshake takes.
        endpoint.UseHttps(certificate, static https => https.HandshakeTimeout = TimeSpan.FromMinutes(2));
    }

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
