using System.Collections.Concurrent;
using System.Diagnostics;
using System.Reflection;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>200 hosts in a row start, serve and drain under load: no reply is cut short, and nothing of them is left.</summary>
[Collection(SerialTests.Name)]
public class ManyStopsTests(ITestOutputHelper output)
{
    private const int StopCount = 200;
    private const int WarmUpCount = 5; // Whatever is made once is there from then on.
    private const int TimersOfAWait = 2;
    private const int TimersOfTheWheel = 1; // All connections share it. It may sleep until a deadline that nobody needs any more.
    private const int BusyCount = 8;
    private const int IdleCount = 4;
    private const int MessageBytes = 1000;

    private readonly ConcurrentQueue<WeakReference> _made = new();
    private long _replies;

    [Fact]
    public async Task Stop_UnderLoadAgainAndAgain_LeavesNothing()
    {
        var unobserved = new ConcurrentQueue<Exception>();
        await RunAsync(WarmUpCount);
        await Eventually.IsTrueAsync(() => CountAlive() == 0); // Also collects what earlier tests did not observe.
        var descriptors = CountDescriptors();
        var timers = Timer.ActiveCount;
        TaskScheduler.UnobservedTaskException += OnUnobserved;
        try
        {
            var started = Stopwatch.GetTimestamp();
            await RunAsync(StopCount);
            output.WriteLine($"{StopCount} starts and stops in {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s, {_replies} replies.");

            await Eventually.IsTrueAsync(() => CountAlive() == 0);
            await Eventually.IsTrueAsync(() => CountDescriptors() <= descriptors);
            await EndTimersAsync(timers);
            Assert.Equal((StopCount + WarmUpCount) * (1 + BusyCount + IdleCount), _made.Count);
            Assert.Empty(unobserved);
        }
        finally
        {
            TaskScheduler.UnobservedTaskException -= OnUnobserved;
        }

        void OnUnobserved(object? sender, UnobservedTaskExceptionEventArgs e) => unobserved.Enqueue(e.Exception);
    }

    private async Task RunAsync(int count)
    {
        for (var i = 0; i < count; i++)
        {
            await StartAndStopAsync();
        }
    }

    private async Task StartAndStopAsync()
    {
        await using var server = await TestServer.StartDrainingAsync(connection =>
        {
            _made.Enqueue(new WeakReference(connection.Graceful()));
            return connection.ServeMessagesAsync(MessageBytes);
        });
        _made.Enqueue(new WeakReference(server.Drain));
        var serving = new CountdownEvent(BusyCount);
        var idle = Enumerable.Range(0, IdleCount).Select(_ => UseAsync(server, static peer => peer.ReadToEndAsync())).ToArray();
        var busy = Enumerable.Range(0, BusyCount).Select(_ => UseAsync(server, peer => ExchangeUntilFinAsync(peer, serving))).ToArray();
        await Eventually.IsTrueAsync(() => serving.IsSet && server.Drain.ConnectionCount == BusyCount + IdleCount);

        var report = await server.StopAndReportAsync();

        Assert.All(await Task.WhenAll([.. idle, .. busy]).InTimeAsync(), static end => Assert.Equal((0, PeerSaw.Eof), end));
        Assert.Equal((BusyCount + IdleCount, BusyCount + IdleCount), (report.ConnectionCount, report.DeliveredCount));
    }

    private static async Task<(long Bytes, PeerSaw End)> UseAsync(TestServer server, Func<ScriptedPeer, Task<(long Bytes, PeerSaw End)>> use)
    {
        await using var peer = await server.ConnectAsync();
        return await use(peer);
    }

    private async Task<(long Bytes, PeerSaw End)> ExchangeUntilFinAsync(ScriptedPeer peer, CountdownEvent serving)
    {
        var message = new byte[MessageBytes];
        for (var isFirst = true; ; isFirst = false)
        {
            await peer.SendAsync(message);
            var received = 0;
            do
            {
                var more = await peer.ReceiveAsync(message.AsMemory(received));
                if (more == 0)
                {
                    return (received, PeerSaw.Eof); // A part of a reply would show in the count.
                }

                received += more;
            }
            while (received < MessageBytes);

            Interlocked.Increment(ref _replies);
            if (isFirst)
            {
                serving.Signal();
            }
        }
    }

    private async Task EndTimersAsync(long before)
    {
        try
        {
            await Eventually.IsTrueAsync(() => Timer.ActiveCount <= before + TimersOfAWait + TimersOfTheWheel);
        }
        catch (TimeoutException)
        {
            output.WriteLine($"{before} timers before, and now {Timer.ActiveCount}: {string.Join(", ", DescribeTimers())}.");
            throw;
        }
    }

    // What the runtime tells only its debugger: whose they are.
    private static List<string> DescribeTimers()
    {
        const BindingFlags all = BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic;
        var timers = new List<string>();
        var queues = typeof(Timer).Assembly.GetType("System.Threading.TimerQueue")!;
        foreach (var queue in (Array)queues.GetProperty("Instances", all)!.GetValue(null)!)
        {
            foreach (var list in (string[])["_shortTimers", "_longTimers"])
            {
                for (var timer = queues.GetField(list, all)!.GetValue(queue); timer is not null; timer = Get(timer, "_next"))
                {
                    var callback = ((TimerCallback)Get(timer, "_timerCallback")!).Method;
                    timers.Add($"{callback.DeclaringType}.{callback.Name} of {Get(timer, "_state")} in {Get(timer, "_dueTime")} ms");
                }
            }
        }

        return timers;

        static object? Get(object timer, string field) => timer.GetType().GetField(field, all)!.GetValue(timer);
    }

    // Sockets, pipes and what the kernel has no name for. Not files: the runtime loads assemblies at any time.
    private static int CountDescriptors() => new DirectoryInfo("/proc/self/fd").EnumerateFileSystemInfos().Count(static descriptor => descriptor.LinkTarget?.StartsWith('/') == false);

    private int CountAlive()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        return _made.Count(static reference => reference.IsAlive);
    }
}
