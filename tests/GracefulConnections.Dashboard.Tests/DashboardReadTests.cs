using System.Net;
using System.Net.Http.Json;
using System.Text.Json;

namespace GracefulConnections.Dashboard.Tests;

public class DashboardReadTests
{
    [Theory]
    [InlineData("/connections/", "text/html")]
    [InlineData("/connections/dashboard.css", "text/css")]
    [InlineData("/connections/dashboard.js", "text/javascript")]
    public async Task Page_IsServedWithoutForeignHosts(string path, string type)
    {
        await using var server = await DashboardServer.StartAsync();

        using var answer = await server.Client.GetAsync(path);

        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal(type, answer.Content.Headers.ContentType!.MediaType);
        Assert.Contains("default-src 'none'", Assert.Single(answer.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
        var text = (await answer.Content.ReadAsStringAsync()).Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal);
        Assert.DoesNotContain("http://", text, StringComparison.Ordinal);
        Assert.DoesNotContain("https://", text, StringComparison.Ordinal);
        Assert.DoesNotContain("innerHTML", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("/connections", "/connections/")]
    [InlineData("/a/b", "/a/b/")]
    [InlineData("/verb\u00E4nde: jetzt", "/verb%C3%A4nde:%20jetzt/")]
    public async Task Page_WithoutTheSlash_IsRedirectedToIt(string pattern, string expected)
    {
        await using var server = await DashboardServer.StartAsync(pattern: pattern);
        var address = new Uri(server.Http, expected.TrimEnd('/'));

        using var answer = await server.Client.GetAsync(address);

        Assert.Equal(HttpStatusCode.Redirect, answer.StatusCode);
        var location = answer.Headers.Location!;
        Assert.Equal(expected, new Uri(address, location).AbsolutePath);

        // Behind a proxy that takes "/prefix" away.
        Assert.Equal("/prefix" + expected, new Uri(new Uri(server.Http, "/prefix" + address.AbsolutePath), location).AbsolutePath);
        using var page = await server.Client.GetAsync(new Uri(address, location));
        Assert.Equal(HttpStatusCode.OK, page.StatusCode);
    }

    [Fact]
    public async Task Reload_BadDrainOptions_ThrowsIntoNobodyAndChangesNothing()
    {
        const string key = "Drain:DrainTimeout";
        await using var server = await DashboardServer.StartAsync(settings: new() { [key] = "00:00:42" });

        server.Configuration[key] = "-00:00:01";
        server.Configuration.Reload();

        await server.Drain.DrainAsync(CancellationToken.None).WaitAsync(DashboardServer.Limit);
        var summary = await server.Client.GetFromJsonAsync<JsonElement>("/connections/api/summary");
        Assert.Equal(42, summary.GetProperty("drain").GetProperty("timeout").GetDouble());
    }

    [Fact]
    public void Row_AddressThatFailsAsText_HidesNoOther()
    {
        var row = ConnectionRow.From(new TrackedConnectionInfo { ConnectionId = "a", LocalEndPoint = new FailingEndPoint() }, false);

        Assert.Equal("(FailingEndPoint.ToString() threw InvalidOperationException)", row.Local);
    }

    [Fact]
    public async Task List_FiltersOrdersAndPages()
    {
        await using var server = await DashboardServer.StartAsync();
        using var first = await server.ConnectAsync("room-a");
        using var second = await server.ConnectAsync("room-a");
        using var third = await server.ConnectAsync("room-b");

        var all = await GetAsync(server, "?order=age");
        var found = await GetAsync(server, "?filter=ROOM-A&take=1&skip=1");
        var tagged = await GetAsync(server, "?tag=room-b&state=open&asked=false");

        Assert.Equal((3, 3, 3), Counts(all));
        Assert.Equal((3, 2, 1), Counts(found));
        Assert.Equal((3, 1, 1), Counts(tagged));
        var row = tagged.GetProperty("connections")[0];
        Assert.Equal("room-b", row.GetProperty("tag").GetString());
        Assert.Equal($"127.0.0.1:{((IPEndPoint)third.Client.LocalEndPoint!).Port}", row.GetProperty("remote").GetString());
        Assert.Equal(7, row.GetProperty("received").GetInt64());
        var one = await server.Client.GetFromJsonAsync<JsonElement>(
            $"/connections/api/connections/{row.GetProperty("id").GetString()}");
        Assert.Equal(1, one.GetProperty("matching").GetInt32());
    }

    [Theory]
    [InlineData("?state=odd", "\"odd\" is not valid for \"state\". It must be one of ")]
    [InlineData("?state=1", "\"1\" is not valid for \"state\". It must be one of ")]
    [InlineData("?activity=x", "\"x\" is not valid for \"activity\". It must be one of ")]
    [InlineData("?asked=2", "\"2\" is not valid for \"asked\". It must be true or false.")]
    [InlineData("?order=name", "\"name\" is not valid for \"order\". It must be one of ")]
    [InlineData("?take=201", "\"201\" is not valid for \"take\". It must be a number from 0 to 200.")]
    [InlineData("?skip=-1", "\"-1\" is not valid for \"skip\". It must be a number from 0.")]
    [InlineData("?stat=open", "There is no filter \"stat\". Use filter, tag, state, activity, asked, order, skip, take.")]
    public async Task List_BadFilter_IsToldClearly(string query, string message)
    {
        await using var server = await DashboardServer.StartAsync();

        using var answer = await server.Client.GetAsync("/connections/api/connections" + query);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.StartsWith(message, await ErrorAsync(answer), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connection_ThatIsGone_IsToldClearly()
    {
        await using var server = await DashboardServer.StartAsync();

        using var answer = await server.Client.GetAsync("/connections/api/connections/0HX");

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Equal("There is no connection \"0HX\". It has ended meanwhile, or never was.", await ErrorAsync(answer));
    }

    [Fact]
    public async Task Tag_OfAnyMakeAndLength_IsText()
    {
        await using var server = await DashboardServer.StartAsync(tag: static line => line == "long"
            ? new string('x', 100_000)
            : new { Markup = "<script>alert(1)</script>" });
        using var first = await server.ConnectAsync("long");
        using var second = await server.ConnectAsync("markup");

        var text = await server.Client.GetStringAsync("/connections/api/connections");

        Assert.True(text.Length < 2000, text);
        Assert.DoesNotContain("<script>", text, StringComparison.Ordinal);
        Assert.Contains("{ Markup = <script>alert(1)</script> }", JsonDocument.Parse(text).RootElement
            .GetProperty("connections").EnumerateArray().Select(static row => row.GetProperty("tag").GetString()));
    }

    [Fact]
    public async Task Tag_WhoseTextFails_HidesNoOther()
    {
        await using var server = await DashboardServer.StartAsync(tag: static line => line == "fails" ? new FailingTag() : line);
        using var first = await server.ConnectAsync("fails");
        using var second = await server.ConnectAsync("room");

        var page = await GetAsync(server, "?filter=o");

        Assert.Equal(
            ["(FailingTag.ToString() threw InvalidOperationException)", "room"],
            page.GetProperty("connections").EnumerateArray().Select(static row => row.GetProperty("tag").GetString()).Order());
    }

    [Fact]
    public async Task Summary_CountsByStateAndActivity()
    {
        await using var server = await DashboardServer.StartAsync();
        using var peer = await server.ConnectAsync();

        var summary = await server.Client.GetFromJsonAsync<JsonElement>("/connections/api/summary");

        Assert.Equal("Serving", summary.GetProperty("phase").GetString());
        Assert.Equal(1, summary.GetProperty("total").GetInt32());
        Assert.Equal(1, summary.GetProperty("states").GetProperty("Open").GetInt32());
        Assert.False(summary.GetProperty("allowsActions").GetBoolean());
        Assert.False(summary.TryGetProperty("requestToken", out _));
    }

    internal static async Task<string?> ErrorAsync(HttpResponseMessage answer) =>
        (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("error").GetString();

    private static Task<JsonElement> GetAsync(DashboardServer server, string query) =>
        server.Client.GetFromJsonAsync<JsonElement>("/connections/api/connections" + query);

    private sealed class FailingEndPoint : EndPoint
    {
        public override string ToString() => throw new InvalidOperationException("The transport's own.");
    }

    private sealed class FailingTag
    {
        public override string ToString() => throw new InvalidOperationException("The application's own.");
    }

    private static (int Total, int Matching, int Shown) Counts(JsonElement page) => (
        page.GetProperty("total").GetInt32(),
        page.GetProperty("matching").GetInt32(),
        page.GetProperty("connections").GetArrayLength());
}
