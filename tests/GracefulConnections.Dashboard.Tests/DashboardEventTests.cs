using System.Diagnostics;
using System.Net;
using System.Net.ServerSentEvents;
using System.Text.Json;

namespace GracefulConnections.Dashboard.Tests;

public class DashboardEventTests
{
    [Fact]
    public async Task Events_ShowCloses()
    {
        await using var server = await DashboardServer.StartAsync(static options => options.Interval = TimeSpan.FromMilliseconds(100));
        using var events = await EventReader.OpenAsync(server);
        Assert.Equal(0, (await events.NextAsync()).Data.GetProperty("total").GetInt32());

        using (var peer = await server.ConnectAsync())
        {
            await events.UntilAsync(static picture => picture.GetProperty("total").GetInt32() == 1);
        }

        await events.UntilAsync(static picture => picture.GetProperty("closes").EnumerateArray().Any(
            static second => second.GetProperty("outcomes").TryGetProperty("graceful", out var count) && count.GetInt32() == 1));
    }

    [Fact]
    public async Task Events_AnotherHostOfTheProcess_ItsClosesAreNotShown()
    {
        await using var server = await DashboardServer.StartAsync(static options => options.Interval = TimeSpan.FromMilliseconds(100));
        await using var other = await DashboardServer.StartAsync();
        using var events = await EventReader.OpenAsync(server);
        await events.NextAsync();
        foreach (var one in new[] { other, server })
        {
            (await one.ConnectAsync()).Dispose();
            await one.Drain.DrainAsync(static _ => true).WaitAsync(DashboardServer.Limit); // Until it is gone.
        }

        var picture = await events.UntilAsync(static picture => picture.GetProperty("closes").GetArrayLength() > 0);

        Assert.Equal(1, picture.GetProperty("closes").EnumerateArray().Sum(static second =>
            second.GetProperty("outcomes").EnumerateObject().Sum(static outcome => outcome.Value.GetInt32())));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Events_DuringAStop_ShowTheDrainToItsEndAndDoNotHoldIt(bool isHttpGraceful)
    {
        await using var server = await DashboardServer.StartAsync(isHttpGraceful: isHttpGraceful);
        var peer = await server.ConnectAsync("holder");
        using var events = await EventReader.OpenAsync(server);
        await events.NextAsync();

        var stopping = server.StopAsync();

        // The peer does not end, so it holds the drain, and the page says so.
        var held = await events.UntilAsync(static picture => picture.TryGetProperty("drain", out _)
            && picture.GetProperty("holders").EnumerateArray().Any(static row =>
                row.TryGetProperty("tag", out var tag) && tag.GetString() == "holder"));
        Assert.Equal("Draining", held.GetProperty("phase").GetString());
        peer.Dispose();
        var sincePeer = Stopwatch.StartNew();

        Assert.True(await events.IsOverAsync());
        await stopping.WaitAsync(DashboardServer.Limit);
        Assert.True(sincePeer.Elapsed < TimeSpan.FromSeconds(3), $"The stop took {sincePeer.Elapsed} after the last peer.");
    }

    [Fact]
    public async Task Events_TwoDashboardsDuringAStop_DoNotWaitForEachOther()
    {
        await using var server = await DashboardServer.StartAsync(isHttpGraceful: true, drain: static drain => drain.DrainTimeout = TimeSpan.FromMinutes(5));
        using var first = await EventReader.OpenAsync(server);
        using var second = await EventReader.OpenAsync(server, DashboardServer.SecondPattern);
        await first.NextAsync();
        await second.NextAsync();

        var stopping = server.StopAsync();

        Assert.True(await first.IsOverAsync());
        Assert.True(await second.IsOverAsync());
        await stopping.WaitAsync(DashboardServer.Limit);
    }

    [Fact]
    public async Task Events_BrowserClosesInTheMiddle_FreesItsPlace()
    {
        await using var server = await DashboardServer.StartAsync(static options => options.Interval = TimeSpan.FromMilliseconds(100));
        using var stays = await EventReader.OpenAsync(server);
        using (var goes = await EventReader.OpenAsync(server))
        {
            await stays.UntilAsync(static picture => picture.GetProperty("viewers").GetInt32() == 2);
        }

        await stays.UntilAsync(static picture => picture.GetProperty("viewers").GetInt32() == 1);
    }

    [Fact]
    public async Task Events_TooManyViewers_AreToldToComeLater()
    {
        await using var server = await DashboardServer.StartAsync();
        var open = new List<EventReader>();
        try
        {
            for (var i = 0; i < 200; i++)
            {
                open.Add(await EventReader.OpenAsync(server));
            }

            using var answer = await server.Client.GetAsync("/connections/api/events");

            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.StartsWith("200 pages are open, which is the limit.", await DashboardReadTests.ErrorAsync(answer), StringComparison.Ordinal);
        }
        finally
        {
            open.ForEach(static reader => reader.Dispose());
        }
    }

    private sealed class EventReader : IDisposable
    {
        private readonly HttpResponseMessage _answer;
        private readonly IAsyncEnumerator<SseItem<string>> _events;
        private readonly CancellationTokenSource _limit = new(DashboardServer.Limit);

        private EventReader(HttpResponseMessage answer, Stream body)
        {
            _answer = answer;
            _events = SseParser.Create(body).EnumerateAsync(_limit.Token).GetAsyncEnumerator();
        }

        public static async Task<EventReader> OpenAsync(DashboardServer server, string pattern = "/connections")
        {
            var answer = await server.Client.GetAsync(pattern + "/api/events", HttpCompletionOption.ResponseHeadersRead);
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            return new EventReader(answer, await answer.Content.ReadAsStreamAsync());
        }

        public async Task<(string Type, JsonElement Data)> NextAsync()
        {
            Assert.True(await _events.MoveNextAsync(), "The events have ended.");
            return (_events.Current.EventType, JsonDocument.Parse(_events.Current.Data).RootElement);
        }

        public async Task<JsonElement> UntilAsync(Func<JsonElement, bool> isIt)
        {
            while (true)
            {
                var (type, picture) = await NextAsync();
                Assert.Equal("message", type);
                if (isIt(picture))
                {
                    return picture;
                }
            }
        }

        /// <summary>Reads until the server says that it is over and ends the answer.</summary>
        public async Task<bool> IsOverAsync()
        {
            var type = "";
            while (await _events.MoveNextAsync())
            {
                type = _events.Current.EventType;
            }

            return type == "over";
        }

        public void Dispose()
        {
            _answer.Dispose();
            _limit.Dispose();
        }
    }
}
