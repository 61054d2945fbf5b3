using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>
/// Certificates that nobody but a test knows: each is its own authority, and all are made anew by each process. What strict verifiers ask for is in them
/// (RFC 5280, section 4.2), so that no client has to look away.
/// </summary>
internal static class TestCertificate
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private static readonly TimeSpan ClockSkew = TimeSpan.FromDays(1);

    /// <summary>Gets the certificate of a server on this machine: <c>localhost</c> and 127.0.0.1.</summary>
    public static X509Certificate2 Server { get; } = Create("localhost", ServerAuthentication);

    /// <summary>Gets the certificate of a peer that says who it is.</summary>
    public static X509Certificate2 Client { get; } = Create("peer", ClientAuthentication);

    /// <summary>Gets how a .NET peer comes to trust <see cref="Server"/>, and nobody else. It still verifies everything.</summary>
    public static SslClientAuthenticationOptions TrustingOptions => Trusting(Server);

    /// <summary>Returns how a .NET peer comes to trust another process's <see cref="Server"/>, and nobody else.</summary>
    public static SslClientAuthenticationOptions Trusting(X509Certificate2 server) => new()
    {
        TargetHost = "localhost",
        CertificateChainPolicy = new X509ChainPolicy
        {
            RevocationMode = X509RevocationMode.NoCheck,
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            CustomTrustStore = { server },
        },
    };

    /// <summary>Writes a certificate without its key to a file of its own, as curl's <c>--cacert</c>, Python's <c>cafile</c> and openssl's <c>-CAfile</c> take it.</summary>
    /// <returns>The path. The caller deletes it.</returns>
    public static string WritePem(X509Certificate2 certificate) => Write(certificate.ExportCertificatePem());

    /// <summary>Writes <see cref="Client"/> and its key to a file of its own, as curl's <c>--cert</c>, Python's <c>load_cert_chain</c> and openssl's <c>-cert</c> take it.</summary>
    /// <returns>The path. The caller deletes it.</returns>
    public static string WriteClientPem() => WriteWithKey(Client);

    /// <summary>Writes <see cref="Server"/> and its key to a file of its own, as Kestrel's configuration takes it for <c>Path</c> and for <c>KeyPath</c>.</summary>
    /// <returns>The path. The caller deletes it.</returns>
    public static string WriteServerPem() => WriteWithKey(Server);

    private static string WriteWithKey(X509Certificate2 certificate) => Write($"{certificate.ExportCertificatePem()}\n{certificate.GetECDsaPrivateKey()!.ExportPkcs8PrivateKeyPem()}\n");

    private static string Write(string pem)
    {
        var path = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}.pem");
        File.WriteAllText(path, pem);
        return path;
    }

    private static X509Certificate2 Create(string name, string usage)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        var subjectKey = new X509SubjectKeyIdentifierExtension(request.PublicKey, critical: false);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: true, pathLengthConstraint: 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyCertSign, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], critical: false));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(subjectKey);
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromSubjectKeyIdentifier(subjectKey));
        var now = TimeProvider.System.GetUtcNow();
        var certificate = request.CreateSelfSigned(now - ClockSkew, now + ClockSkew);

        // An extension decodes itself at the first look, and two servers that look at the same time may see nothing.
        foreach (var usages in certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>())
        {
            _ = usages.EnhancedKeyUsages.Count;
        }

        return certificate;
    }
}
