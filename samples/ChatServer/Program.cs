using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using ChatServer;
using GracefulConnections;
using Microsoft.AspNetCore.Connections;

// Talk to it: nc 127.0.0.1 5000, or over TLS: openssl s_client -quiet -connect 127.0.0.1:5001
// Look at it: http://127.0.0.1:8080/connections
var builder = WebApplication.CreateSlimBuilder(args);

builder.WebHost.UseKestrelHttpsConfiguration();
builder.WebHost.ConfigureKestrel(kestrel =>
{
    kestrel.Listen(IPAddress.Loopback, 5000, endpoint =>
        endpoint.UseGracefulShutdown().UseConnectionHandler<ChatHandler>());
    kestrel.Listen(IPAddress.Loopback, 5001, endpoint =>
        endpoint.UseHttps(CreateCertificate()).UseGracefulShutdown().UseConnectionHandler<ChatHandler>());
    kestrel.Listen(IPAddress.Loopback, 8080);
});

builder.Services.AddSingleton<Rooms>();
builder.Services.AddGracefulShutdown(drain =>
{
    drain.AnnounceDelay = TimeSpan.FromSeconds(1); // What a load balancer needs to see that /ready has turned.
    drain.DrainTimeout = TimeSpan.FromSeconds(20);
});
builder.Services.AddHealthChecks().AddDrainCheck();

var app = builder.Build();
app.MapHealthChecks("/ready");
app.MapGracefulConnections();
app.Run();

// For a first try: nobody trusts it.
static X509Certificate2 CreateCertificate()
{
    using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
    using var made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddYears(1));
    return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
}
