using System.Security.Cryptography.X509Certificates;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Http.EarlyRejection;

/// <summary>Where to upload to, and whom to trust there.</summary>
internal sealed class UploadTarget : IDisposable
{
    private readonly int _port;

    /// <param name="port">The server's port on this machine.</param>
    /// <param name="certificate">The server's certificate; <see langword="null"/> without TLS.</param>
    public UploadTarget(int port, X509Certificate2? certificate)
    {
        _port = port;
        Certificate = certificate;
        CertificatePath = certificate is null ? null : TestCertificate.WritePem(certificate);
    }

    public X509Certificate2? Certificate { get; }

    /// <summary>Gets the file with <see cref="Certificate"/>.</summary>
    public string? CertificatePath { get; }

    public Uri GetAddress(int status) => new($"{(Certificate is null ? "http" : "https")}://127.0.0.1:{_port}/{status}");

    public void Dispose()
    {
        if (CertificatePath is not null)
        {
            File.Delete(CertificatePath);
        }
    }
}
