using System.Collections.Concurrent;
using System.Globalization;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>
/// Random parts of a server drain, several at a time, while connections come and go. 40 drains, or with
/// <c>GRACEFUL_STRESS_FACTOR=25</c> 1,000. Follows from the seed that it prints.
/// </summary>
[Collection(SerialTests.Name)]
public class RandomPartDrainTests(ITestOutputHelper output)
{
    private const int NormalDrainCount = 40;
    private const int DrainsAtATime = 4;
    private const int PeerCount = 24;

    private readonly ConcurrentDictionary<string, bool> _claimed = new();
    private readonly ConcurrentQueue<Task<CloseResult>> _closed = new();
    private volatile bool _isOver;

    [Fact]
    public async Task Drain_RandomParts_ReportEachConnectionOnce()
    {
        var seed = Random.Shared.Next();
        output.WriteLine($"Seed {seed}.");
        await using var server = await TestServer.StartDrainingAsync(connection =>
        {
            _closed.Enqueue(connection.Features.Get<IGracefulCloseFeature>()!.Closed);
            return HandlerSteps.EchoAsync(connection);
        });
        var peers = Enumerable.Range(0, PeerCount).Select(i => ComeAndGoAsync(server, new Random(seed + i))).ToArray();

        var reports = new List<DrainReport>();
        var drains = Enumerable.Range(0, DrainsAtATime).Select(i => DrainAsync(server, new Random(seed - i - 1))).ToArray();
        foreach (var drained in await Task.WhenAll(drains).InTimeAsync())
        {
            reports.AddRange(drained);
        }

        _isOver = true;
        var whole = await server.DrainAsync();
        await Task.WhenAll(peers).InTimeAsync();
        var results = await Task.WhenAll(_closed).InTimeAsync();

        // The parts are disjoint. One that ended between the choice and its drain is in no report.
        var reported = reports.Sum(static report => report.ConnectionCount);
        var byDrain = results.Count(static result => result.Reason == CloseReason.Drain);
        output.WriteLine($"{reports.Count} drains of parts reported {reported} connections of {_claimed.Count} chosen and {results.Length} in all; the last drain {whole}.");
        Assert.All(reports.Append(whole), static report => Assert.Equal(report.ConnectionCount, report.Outcomes.Values.Sum()));
        Assert.InRange(reported, byDrain - whole.ConnectionCount, _claimed.Count);
        Assert.True(reported > DrainCount / 2, "The drains found next to nobody.");
        Assert.All(reports, static report => Assert.Equal((0, 0, 0), (report.Aborted.Count, report.UnendedHandlerCount, report.UnacknowledgedBytes)));
        Assert.All(results, static result => Assert.Equal((CloseOutcome.Graceful, 0L), (result.Outcome, result.UnacknowledgedBytes)));
        await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount == 0);
        Assert.Empty(server.Drain.GetConnections());
    }

    private async Task<List<DrainReport>> DrainAsync(TestServer server, Random random)
    {
        var reports = new List<DrainReport>();
        while (reports.Count < DrainCount / DrainsAtATime)
        {
            await Eventually.IsTrueAsync(() => server.Drain.ConnectionCount >= PeerCount / 2); // As many as come again.
            var share = random.NextDouble() / 2;
            reports.Add(await server.DrainAsync(info => random.NextDouble() < share && _claimed.TryAdd(info.ConnectionId, true)));
        }

        return reports;
    }

    // Some go by themselves, after a few messages; the others stay until the server ends them.
    private async Task ComeAndGoAsync(TestServer server, Random random)
    {
        var message = new byte[100];
        while (!_isOver)
        {
            await using var peer = await server.ConnectAsync();
            for (var left = random.Next(5); left > 0; left--)
            {
                await peer.SendAsync(message);
                if (await peer.ReceiveAsync(message) == 0)
                {
                    break; // Between two messages, so nothing was lost.
                }
            }

            if (random.Next(3) == 0)
            {
                peer.HalfClose();
            }

            Assert.Equal(PeerSaw.Eof, (await peer.ReadToEndAsync()).End);
        }
    }

    private static int DrainCount =>
        double.TryParse(Environment.GetEnvironmentVariable("GRACEFUL_STRESS_FACTOR"), CultureInfo.InvariantCulture, out var factor)
            ? (int)(NormalDrainCount * factor)
            : NormalDrainCount;
}
