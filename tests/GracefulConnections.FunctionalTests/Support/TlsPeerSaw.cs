namespace GracefulConnections.FunctionalTests.Support;

/// <summary>How a TLS peer's stream ended.</summary>
internal enum TlsPeerSaw
{
    /// <summary>close_notify: nothing was cut off.</summary>
    CloseNotify,

    /// <summary>FIN without close_notify, which OpenSSL 3 calls an unexpected end.</summary>
    Eof,

    /// <summary>RST.</summary>
    Reset,
}
