using System.Net;
using System.Net.Security;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GracefulConnections;
using GracefulConnections.HandoverServer;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

// What a test replaces while peers talk to it. Its configuration is its command line:
//   --Endpoints "tcp:5000 any:5001 https:5002 unix:/run/x"   where it listens
//   --Handover:SocketPath, --Handover:ReadyTimeout ...       ListenerHandoverOptions; --Signal SIGHUP
//   --Stock true                                             without the library
//   --Fail exit | hang | slow                                ends, hangs or waits when everything has started
//   --FailAgain exit | hang | slow                           the same, where it is not the first to listen
var builder = WebApplication.CreateSlimBuilder(args);
var configuration = builder.Configuration;
builder.Host.UseSystemd();
var isStock = configuration.GetValue<bool>("Stock");
var endpoints = configuration.GetValue("Endpoints", "")!.Split(' ', StringSplitOptions.RemoveEmptyEntries);
builder.WebHost.ConfigureKestrel(kestrel => Array.ForEach(endpoints, endpoint => Listen(kestrel, endpoint.Split(':', 2))));
if (!isStock)
{
    builder.Services.AddGracefulShutdown(drain =>
        drain.DrainTimeout = configuration.GetValue("DrainTimeout", drain.DrainTimeout));
    builder.Services.AddListenerHandover(handover =>
    {
        handover.SocketPath = configuration["Handover:SocketPath"];
        handover.ReadyTimeout = configuration.GetValue("Handover:ReadyTimeout", handover.ReadyTimeout);
        handover.UseServiceManager = configuration.GetValue("Handover:UseServiceManager", true);
        handover.RestartSignal = configuration["Signal"] is { } signal ? Enum.Parse<PosixSignal>(signal) : null;
    });
}

var isSuccessor = File.Exists(configuration["Handover:SocketPath"]);
if ((configuration["Fail"] ?? (isSuccessor ? configuration["FailAgain"] : null)) is { } way)
{
    builder.Services.AddHostedService(_ => new FailingService(way));
}

var app = builder.Build();
app.Run();

void Listen(KestrelServerOptions kestrel, string[] endpoint)
{
    switch (endpoint)
    {
        case ["tcp", var port]:
            kestrel.Listen(IPAddress.Loopback, int.Parse(port), Serve);
            break;
        case ["any", var port]:
            kestrel.ListenAnyIP(int.Parse(port), Serve);
            break;
        case ["https", var port]:
            kestrel.Listen(IPAddress.Loopback, int.Parse(port), options => Serve(options.UseHttps(CreateCertificate())));
            break;
        case ["unix", var path]:
            kestrel.ListenUnixSocket(path, Serve);
            break;
        default:
            throw new ArgumentException($"Endpoints: cannot read \"{string.Join(':', endpoint)}\".");
    }
}

void Serve(ListenOptions options)
{
    if (!isStock)
    {
        options.UseGracefulShutdown();
    }

    options.Run(new LineHandler(configuration.GetValue("Work", TimeSpan.FromSeconds(1))).ServeAsync);
}

static X509Certificate2 CreateCertificate()
{
    using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
    var now = TimeProvider.System.GetUtcNow();
    using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
    return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), password: null);
}
