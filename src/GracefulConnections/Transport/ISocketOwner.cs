using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// A connection of the library's own, which says of itself that nothing stands between its transport and its socket.
/// </summary>
internal interface ISocketOwner
{
    /// <summary>Gets the transport that the connection was made with.</summary>
    IDuplexPipe OwnTransport { get; }
}
