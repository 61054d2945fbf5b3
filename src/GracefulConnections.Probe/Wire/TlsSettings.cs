using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace GracefulConnections.Probe.Wire;

/// <summary>How the probe speaks TLS.</summary>
/// <param name="ServerName">The name that the certificate must have.</param>
/// <param name="Authority">A certificate to trust in place of the machine's; <see langword="null"/> for the
/// machine's.</param>
/// <param name="IsInsecure">Whether any certificate will do.</param>
/// <param name="Version">The only version to offer; <see cref="SslProtocols.None"/> leaves it to the machine.</param>
internal sealed record TlsSettings(
    string ServerName, X509Certificate2? Authority, bool IsInsecure, SslProtocols Version = SslProtocols.None)
{
    public SslClientAuthenticationOptions CreateOptions()
    {
        var options = new SslClientAuthenticationOptions { TargetHost = ServerName, EnabledSslProtocols = Version };
        if (IsInsecure)
        {
#pragma warning disable CA5359 // The user asked for it by --insecure.
            options.RemoteCertificateValidationCallback = static (_, _, _, _) => true;
#pragma warning restore CA5359
        }
        else if (Authority is not null)
        {
            options.CertificateChainPolicy = new X509ChainPolicy
            {
                RevocationMode = X509RevocationMode.NoCheck,
                TrustMode = X509ChainTrustMode.CustomRootTrust,
                CustomTrustStore = { Authority },
            };
        }

        return options;
    }
}
