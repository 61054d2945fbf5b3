namespace GracefulConnections.FunctionalTests.Support;

/// <summary>A peer that was aborted while it did not read.</summary>
internal static class AbortedPeer
{
    /// <summary>
    /// Waits until the server's abort is here, and reads nothing. The server closes its socket before it tells the
    /// result, but a process that another test starts right now holds copies of all descriptors until its program runs,
    /// and the RST back. To a peer that reads meanwhile the kernel goes on delivering what it holds.
    /// </summary>
    public static Task<PeerSaw> AbortArrivesAsync(this ScriptedPeer peer) => peer.WaitForEndAsync();
}
