namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Finds a peer among the connections that a drain knows.</summary>
internal static class TrackedPeer
{
    /// <summary>Returns whether the server's side of this peer's connection is <paramref name="connection"/>.</summary>
    public static bool IsPeerOf(this ScriptedPeer peer, TrackedConnectionInfo connection) =>
        peer.Socket.LocalEndPoint!.Equals(connection.RemoteEndPoint);
}
