using System.Collections.Concurrent;
using System.Threading.Channels;
using GracefulConnections;
using Microsoft.Extensions.Options;

namespace Worker;

/// <summary>Produces ticks for all subscribers until the drain is announced: nothing new begins while the server finishes what it has.</summary>
internal sealed class TickFeed(IDrainCoordinator drain, IOptions<FeedOptions> options, ILogger<TickFeed> logger) : BackgroundService
{
    // A subscriber that falls so far behind misses the oldest ticks instead of using up the memory.
    private const int MaxUnsentTicks = 1_000;

    private readonly ConcurrentDictionary<ChannelReader<long>, ChannelWriter<long>> _subscribers = [];

    /// <summary>Adds a subscriber, who gets every tick from now on.</summary>
    public ChannelReader<long> Subscribe()
    {
        var ticks = Channel.CreateBounded<long>(new BoundedChannelOptions(MaxUnsentTicks) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true, SingleWriter = true });
        _subscribers[ticks.Reader] = ticks.Writer;
        return ticks.Reader;
    }

    public void Unsubscribe(ChannelReader<long> ticks) => _subscribers.TryRemove(ticks, out _);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // The announcement comes first: stoppingToken is cancelled only after the server has stopped, when every subscriber has gone.
        using var announced = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, drain.DrainAnnounced);
        using var timer = new PeriodicTimer(options.Value.Interval);
        var tick = 0L;
        try
        {
            while (await timer.WaitForNextTickAsync(announced.Token))
            {
                tick++;
                foreach (var subscriber in _subscribers.Values)
                {
                    subscriber.TryWrite(tick);
                }
            }
        }
        catch (OperationCanceledException)
        {
            logger.LogInformation("The drain was announced: no tick after {Tick}. {SubscriberCount} subscribers get what is left.", tick, _subscribers.Count);
        }
    }
}
