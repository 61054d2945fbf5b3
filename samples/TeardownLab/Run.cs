using GracefulConnections;

namespace TeardownLab;

/// <summary>What one scenario came to on one server.</summary>
internal sealed record Run(Scenario Scenario, ServerKind Server, long ReceivedBytes, PeerSaw PeerSaw, CloseResult? Close)
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30); // Far more than any run needs: reaching it is a bug, and not a slow machine.

    public long LostBytes => Scenario.WrittenBytes - ReceivedBytes;

    public bool HasUnintendedLoss => LostBytes > 0 && !Scenario.LosesByIntent;

    public static async Task<Run> StartAsync(Scenario scenario, ServerKind kind)
    {
        await using var server = await LabServer.StartAsync(scenario, kind);
        using var peer = await Peer.ConnectAsync(server.EndPoint);
        try
        {
            await scenario.Peer(peer, server).WaitAsync(Limit);
            peer.Dispose();
            var close = await server.WaitForCloseAsync().WaitAsync(Limit);
            return new Run(scenario, kind, peer.ReceivedBytes, peer.Saw, close);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"The scenario \"{scenario.Name}\" did not end on the {kind} server within {Limit}.");
        }
    }
}
