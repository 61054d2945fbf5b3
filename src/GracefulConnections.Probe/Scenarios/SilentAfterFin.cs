using GracefulConnections.Probe.Judging;
using GracefulConnections.Probe.Wire;

namespace GracefulConnections.Probe.Scenarios;

/// <summary>The peer never answers the server's FIN.</summary>
internal sealed class SilentAfterFin() : Scenario(new ScenarioInfo(
    "1.3",
    "silent-after-fin",
    "Reads everything up to the server's FIN and never sends its own. " +
        "Seven connections are tried, each once, after 1, 3, 6, 12, 25, 40 and 61 s.",
    "The server lets go of the connection within 60 s: a byte is answered by RST.",
    "RFC 9293 3.6",
    "Peers vanish. A server that waits for their FIN for ever runs out of descriptors."))
{
    private static readonly TimeSpan[] Tries =
    [
        TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(3), TimeSpan.FromSeconds(6), TimeSpan.FromSeconds(12),
        TimeSpan.FromSeconds(25), TimeSpan.FromSeconds(40), TimeSpan.FromSeconds(61),
    ];

    private static readonly byte[] OneByte = "?"u8.ToArray();

    public override async Task<Finding> RunAsync(ScenarioContext context, CancellationToken cancellationToken)
    {
        if (!context.Calibration.EndsItself)
        {
            return Finding.Skip(ScenarioContext.NeverEndsReason);
        }

        var connections = new List<ProbeConnection>();
        try
        {
            // All at once, because the times count from here for each of them.
            foreach (var _ in Tries)
            {
                connections.Add(await context.ConnectAsync(cancellationToken));
            }

            await Task.WhenAll(connections.Select(one => AskForTheEndAsync(context, one, cancellationToken)));
            if (connections.FirstOrDefault(connection => connection.End != ServerEnd.Fin) is { } other)
            {
                return Finding.Unsure(EndJudge.DescribeEnd(other),
                    "The server's FIN did not come, so nothing waits for the peer's.");
            }

            return await TryEachAsync(context, connections, cancellationToken);
        }
        finally
        {
            foreach (var connection in connections)
            {
                await connection.DisposeAsync();
            }
        }
    }

    private static async Task AskForTheEndAsync(
        ScenarioContext context, ProbeConnection connection, CancellationToken cancellationToken)
    {
        await connection.SendAsync(context.CreateLoad(requests: 0, withEnding: true).Bytes, cancellationToken);
        await connection.ReadToEndAsync(cancellationToken);
    }

    private static async Task<Finding> TryEachAsync(
        ScenarioContext context, List<ProbeConnection> connections, CancellationToken cancellationToken)
    {
        var before = TimeSpan.Zero;
        for (var i = 0; i < Tries.Length; i++)
        {
            await context.DelayAsync(Tries[i] - before, cancellationToken);
            var sent = await connections[i].SendAsync(OneByte, cancellationToken);
            if (!sent || await connections[i].AwaitDeliveryAsync(cancellationToken) == false)
            {
                return Finding.Pass(i == 0
                    ? "the server let go within 1 s"
                    : $"the server let go between {before.TotalSeconds:0} and {Tries[i].TotalSeconds:0} s");
            }

            before = Tries[i];
        }

        return OperatingSystem.IsLinux()
            ? Finding.Fail(Fault.LateRelease, $"after {before.TotalSeconds:0} s the server still takes bytes")
            : Finding.Unsure("no RST", "This system does not tell whether a byte was taken.");
    }
}
