namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Where <c>UseGracefulShutdown()</c> stands on an endpoint.</summary>
public enum TlsPlacement
{
    /// <summary>There is no TLS.</summary>
    Plaintext,

    /// <summary>Inside of TLS: after <c>UseHttps()</c>.</summary>
    Inside,

    /// <summary>Outside of TLS: before <c>UseHttps()</c>.</summary>
    Outside,

    /// <summary>On both sides of it: the inner one closes TLS, the outer one TCP.</summary>
    Both,
}
