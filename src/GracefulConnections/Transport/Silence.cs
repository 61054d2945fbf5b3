namespace GracefulConnections.Transport;

/// <summary>How long nothing has happened on a connection.</summary>
/// <param name="OfPeer">Since the last byte of the peer, or since the connect.</param>
/// <param name="OfHandler">Since the handler's last flush, or since the connect.</param>
/// <param name="SinceRequest">Since the connection was asked to close.</param>
internal readonly record struct Silence(TimeSpan OfPeer, TimeSpan OfHandler, TimeSpan SinceRequest);
