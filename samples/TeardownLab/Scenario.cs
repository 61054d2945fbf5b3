using GracefulConnections;
using Microsoft.AspNetCore.Connections;

namespace TeardownLab;

/// <summary>A handler, and a peer that makes it hard to end the connection well.</summary>
internal sealed class Scenario
{
    public required string Name { get; init; }

    /// <summary>Gets what the handler writes. More than a receive window, so that some of it is on its way when the
    /// handler returns; less than window and send buffer together, so that the handler does return, whatever the peer
    /// does.</summary>
    public int WrittenBytes { get; init; } = 1_500_000;

    /// <summary>Gets the handler, the same for both servers.</summary>
    public required Func<ConnectionContext, int, Task> Handler { get; init; }

    /// <summary>Gets what the peer does.</summary>
    public required Func<Peer, LabServer, Task> Peer { get; init; }

    /// <summary>Gets whether bytes are lost because the peer wants it so.</summary>
    public bool LosesByIntent { get; init; }

    public Action<GracefulCloseOptions> Configure { get; init; } = static _ => { };
}
