namespace GracefulConnections.Probe.Wire;

/// <summary>How the probe makes its connections.</summary>
/// <param name="Target">The server.</param>
/// <param name="Tls">How to speak TLS; <see langword="null"/> for plain TCP.</param>
/// <param name="Patience">The longest silence that is waited for.</param>
/// <param name="Time">The clock.</param>
internal sealed record ConnectionSettings(Target Target, TlsSettings? Tls, TimeSpan Patience, TimeProvider Time);
