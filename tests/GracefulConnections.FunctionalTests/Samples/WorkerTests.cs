using System.Globalization;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>The sample <c>samples/Worker</c> as its subscribers see it, and the order of its log.</summary>
[Collection(SerialTests.Name)]
public sealed class WorkerTests
{
    private const int SubscriberCount = 5;
    private const int TickBytes = 7; // "tick 1\n"

    [Fact]
    public async Task Stop_Subscribers_GetEveryTickThenTheGoodbyeThenFin()
    {
        var ledger = Path.GetTempFileName();
        try
        {
            await using var worker = await StartAsync("--Ledger:Path", ledger);
            var subscribers = new List<ScriptedPeer>();
            for (var i = 0; i < SubscriberCount; i++)
            {
                subscribers.Add(await SampleProcess.ConnectAsync(worker.Ports[0]));
                await subscribers[i].ReadExactlyAsync(TickBytes);
            }

            worker.Terminate();
            var ticks = 0L;
            foreach (var subscriber in subscribers)
            {
                var lines = (await RespServer.ReadToFinAsync(subscriber)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
                Assert.Equal("bye", lines[^1]);
                ticks += lines.Length - 1;
                subscriber.HalfClose();
                await subscriber.DisposeAsync();
            }

            Assert.Equal(0, await worker.WaitForExitAsync());
            AssertInOrder(
                worker.Log,
                "The drain was announced with 5 connections",
                "The drain was announced: no tick after",
                "Draining 5 connections",
                "Said goodbye to subscriber",
                "Drained 5 connections",
                "Flushed the ledger (Drained, 0 connections left)");
            var flushed = (await File.ReadAllTextAsync(ledger, TestContext.Current.CancellationToken)).Split(' ');
            Assert.Equal(SubscriberCount, int.Parse(flushed[0], CultureInfo.InvariantCulture));
            Assert.True(long.Parse(flushed[2], CultureInfo.InvariantCulture) >= ticks, string.Join(' ', flushed));
        }
        finally
        {
            File.Delete(ledger);
        }
    }

    [Fact]
    public async Task Stop_SubscriberThatDoesNotRead_HoldsNobodyElse()
    {
        await using var worker = await StartAsync("--Drain:DrainTimeout", "00:00:02", "--Feed:Interval", "00:00:00.001");
        await using var stuck = await SampleProcess.ConnectAsync(worker.Ports[0], socket => socket.ReceiveBufferSize = 4096);
        await using var subscriber = await SampleProcess.ConnectAsync(worker.Ports[0]);
        await subscriber.ReadExactlyAsync(TickBytes);

        worker.Terminate();

        Assert.EndsWith("bye\n", await RespServer.ReadToFinAsync(subscriber), StringComparison.Ordinal);
        subscriber.HalfClose();
        Assert.Equal(0, await worker.WaitForExitAsync());
        Assert.Contains("Flushed the ledger (Drained, 0 connections left)", worker.Log, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Subscriber_Leaves_IsNoFault()
    {
        await using var worker = await StartAsync();
        await using (var subscriber = await SampleProcess.ConnectAsync(worker.Ports[0]))
        {
            await subscriber.ReadExactlyAsync(TickBytes);
            subscriber.HalfClose();
            Assert.Equal(PeerSaw.Eof, (await subscriber.ReadToEndAsync()).End); // With a tick unread, it would reset.
        }

        worker.Terminate();

        Assert.Equal(0, await worker.WaitForExitAsync());
        Assert.DoesNotContain("fail:", worker.Log, StringComparison.Ordinal);
        Assert.DoesNotContain("warn:", worker.Log, StringComparison.Ordinal);
    }

    private static Task<SampleProcess> StartAsync(params IEnumerable<string> arguments) =>
        SampleProcess.StartAsync("Worker", ["--Feed:Port", "0", "--Feed:Interval", "00:00:00.010", .. arguments]);

    private static void AssertInOrder(string log, params IReadOnlyList<string> parts)
    {
        var at = 0;
        foreach (var part in parts)
        {
            var found = log.IndexOf(part, at, StringComparison.Ordinal);
            Assert.True(found >= 0, $"\"{part}\" is missing, or comes too early, in:\n{log}");
            at = found;
        }
    }
}
