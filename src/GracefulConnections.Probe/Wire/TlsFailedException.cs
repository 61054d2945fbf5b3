namespace GracefulConnections.Probe.Wire;

/// <summary>The TLS handshake with the server failed.</summary>
internal sealed class TlsFailedException(string message, Exception? inner = null) : Exception(message, inner);
