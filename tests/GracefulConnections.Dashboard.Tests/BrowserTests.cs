using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.Playwright;

namespace GracefulConnections.Dashboard.Tests;

/// <summary>The page in a real browser.</summary>
public sealed class BrowserTests : IAsyncLifetime
{
    private const int PeerCount = 2000;
    private const string Markup = "<img src=x onerror=\"document.title='forged'\">";

    private readonly LocatorAssertionsToHaveCountOptions _count = new()
    {
        Timeout = (float)DashboardServer.Limit.TotalMilliseconds,
    };

    private readonly List<TcpClient> _peers = [];
    private readonly List<string> _requests = [];
    private readonly List<string> _errors = [];
    private IPlaywright _playwright = null!;
    private IBrowser _browser = null!;
    private DashboardServer _server = null!;

    public async ValueTask InitializeAsync()
    {
        var chromium = Chromium.Require();
        _playwright = await Playwright.CreateAsync();
        _browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = chromium,
            Args = ["--no-sandbox", "--disable-dev-shm-usage"], // As root there is no sandbox.
        });
        _server = await DashboardServer.StartAsync(
            static options =>
            {
                options.AllowActions = true;
                options.ActionPolicy = "operators";
                options.Interval = TimeSpan.FromMilliseconds(200);
            },
            drain: static options => options.DrainTimeout = TimeSpan.FromSeconds(60));
    }

    public async ValueTask DisposeAsync()
    {
        _peers.ForEach(static peer => peer.Dispose());
        if (_browser is not null)
        {
            await _browser.DisposeAsync();
        }

        _playwright?.Dispose();
        if (_server is not null)
        {
            await _server.DisposeAsync();
        }
    }

    [Fact]
    public async Task Page_TwoThousandConnections_FilterAbortDrainByTagAndStop()
    {
        await ConnectAsync();
        var page = await OpenAsync(ColorScheme.Light, width: 1280);
        await Text(page, "#total", "2,000");
        await Text(page, "#link", "Live.");

        // A tag with markup in it is text.
        await FindAsync(page, "onerror");
        await Text(page, "#found", "1 to 1 of 1, of 2,000 connections in all.");
        Assert.Equal(Markup, await page.Locator("#list tbody td:nth-child(3)").InnerTextAsync());
        Assert.Equal("Connections", await page.TitleAsync());
        Assert.Equal(0, await page.Locator("#list img").CountAsync());

        // Abort that one, by the keyboard.
        await page.Locator("#list tbody button").FocusAsync();
        await page.Keyboard.PressAsync("Enter");
        await Text(page, "#total", "1,999");
        await Text(page, "#found", "None of 1,999 connections.");
        await Assert.ThrowsAnyAsync<IOException>(() => _peers[0].GetStream().ReadExactlyAsync(new byte[1]).AsTask().WaitAsync(DashboardServer.Limit));

        // Pages.
        await FindAsync(page, "room-1");
        await Text(page, "#found", "1 to 50 of 667, of 1,999 connections in all.");
        await page.Locator("#next").ClickAsync();
        await Text(page, "#found", "51 to 100 of 667, of 1,999 connections in all.");
        await page.Locator("#previous").ClickAsync();
        await Text(page, "#found", "1 to 50 of 667, of 1,999 connections in all.");

        // Drain a room. Its peers get their end, and end.
        await page.Locator("#drain-tag").FillAsync("room-2");
        await page.Locator("#drain-tag-button").ClickAsync();
        await Text(page, "#message", "666 connections are asked to close.");
        await EndAsync("room-2");
        await Text(page, "#total", "1,333");
        await Assertions.Expect(page.Locator("#closes rect")).Not.ToHaveCountAsync(0, _count);

        // Stop the server with three peers that do not end: the page shows who holds it, and then the end.
        var holders = _peers.Where(static peer => peer.Client is { Connected: true }).TakeLast(3).ToArray();
        var stopping = _server.StopAsync();
        await EndAsync(null, except: holders);
        await Text(page, "#asked", "3");
        await Assertions.Expect(page.Locator("#holders tbody tr")).ToHaveCountAsync(3, _count);
        Assert.Contains("3 of 1,333 connections are left", await page.Locator("#drain-text").InnerTextAsync(), StringComparison.Ordinal);
        Assert.Contains("waits for the peer's end", await page.Locator("#holders").InnerTextAsync(), StringComparison.Ordinal);
        foreach (var holder in holders)
        {
            holder.Dispose();
        }

        await Text(page, "#link", "The server has drained, and is about to exit.");
        await stopping.WaitAsync(DashboardServer.Limit);
        Assert.All(_requests, request => Assert.StartsWith(_server.Http.GetLeftPart(UriPartial.Authority), request, StringComparison.Ordinal));
        Assert.DoesNotContain(_errors, static error => !error.Contains("ERR_", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(ColorScheme.Light, 1280)]
    [InlineData(ColorScheme.Dark, 1280)]
    [InlineData(ColorScheme.Light, 390)]
    [InlineData(ColorScheme.Dark, 390)]
    public async Task Page_InBothThemesAndNarrow_FitsAndCanBeRead(ColorScheme scheme, int width)
    {
        _peers.Add(await _server.ConnectAsync("a-room"));
        var page = await OpenAsync(scheme, width);
        await Text(page, "#total", "1");

        // Nothing but the tables, which scroll by themselves, is wider than the screen.
        Assert.True(await page.EvaluateAsync<int>("document.documentElement.scrollWidth") <= width);
        var (ink, paper) = (await LightnessAsync(page, "color"), await LightnessAsync(page, "backgroundColor"));
        Assert.Equal(scheme == ColorScheme.Light, paper > ink);
        Assert.True(Math.Abs(paper - ink) > 150);
        if (Environment.GetEnvironmentVariable("GRACEFUL_SCREENSHOTS") is { } folder)
        {
            await page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, $"{scheme}-{width}.png"), FullPage = true });
        }

        // Every control has a name.
        Assert.Equal(0, await page.EvaluateAsync<int>(
            "[...document.querySelectorAll('input,select,button')].filter(e => !(e.labels?.length || e.textContent.trim() || e.ariaLabel)).length"));
    }

    private static async Task<double> LightnessAsync(IPage page, string property)
    {
        var color = await page.EvaluateAsync<string>($"getComputedStyle(document.body).{property}");
        var parts = color.Split('(', ',', ')').Skip(1).Take(3).Select(static part => double.Parse(part, System.Globalization.CultureInfo.InvariantCulture));
        return parts.Average();
    }

    private static Task Text(IPage page, string selector, string text) =>
        Assertions.Expect(page.Locator(selector)).ToHaveTextAsync(
            text, new LocatorAssertionsToHaveTextOptions { Timeout = (float)DashboardServer.Limit.TotalMilliseconds });

    private static async Task FindAsync(IPage page, string text)
    {
        await page.Locator("#filter").FillAsync(text);
        await page.Locator("#filter").PressAsync("Enter");
    }

    private async Task<IPage> OpenAsync(ColorScheme scheme, int width)
    {
        var context = await _browser.NewContextAsync(new BrowserNewContextOptions
        {
            ColorScheme = scheme,
            ViewportSize = new ViewportSize { Width = width, Height = 900 },
            ExtraHTTPHeaders = new Dictionary<string, string> { [DashboardServer.UserHeader] = "operator" },
        });
        var page = await context.NewPageAsync();
        page.Request += (_, request) => _requests.Add(request.Url);
        page.Console += (_, message) =>
        {
            if (message.Type == "error")
            {
                _errors.Add(message.Text);
            }
        };
        page.PageError += (_, error) => _errors.Add(error);
        page.Dialog += static (_, dialog) => _ = dialog.AcceptAsync();
        await page.GotoAsync(new Uri(_server.Http, "/connections").ToString());
        return page;
    }

    // The first has markup for a tag, the others are in three rooms.
    private async Task ConnectAsync()
    {
        _peers.Add(await _server.ConnectAsync(Markup));
        for (var i = 1; i < PeerCount; i++)
        {
            _peers.Add(await _server.ConnectAsync($"room-{i % 3}"));
        }
    }

    // Waits for the server's end and answers with the own one, on those that the server closes.
    private async Task EndAsync(string? tag, TcpClient[]? except = null)
    {
        for (var i = 1; i < _peers.Count; i++)
        {
            var peer = _peers[i];
            if ((tag is null || tag == $"room-{i % 3}") && peer.Client is { Connected: true } && except?.Contains(peer) != true)
            {
                Assert.Equal(0, await peer.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(DashboardServer.Limit));
                peer.Dispose();
            }
        }
    }
}
