using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// A connection of the library's own, which says of itself that nothing stands between its transport and its socket.
/// </summary>
internal interface ISocketOwner
{
    /// <summary>Gets the transport that the connection was made with.</summary>
    IDuplexPipe OwnTransport { get; }

    /// <summary>
    /// The peer has reset the connection, and the kernel has closed it. If the connection reads only what is asked for,
    /// it lets that be read which the peer had sent before, and tells a reset from an end itself.
    /// </summary>
    /// <returns>Whether the peer's FIN came before; <see langword="null"/> when it is to be aborted.</returns>
    bool? KeepInput() => null;
}
