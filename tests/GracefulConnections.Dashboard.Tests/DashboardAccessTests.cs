using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Dashboard.Tests;

public class DashboardAccessTests
{
    [Theory]
    [InlineData("Host", "connections.example")]
    [InlineData("X-Forwarded-For", "192.0.2.1")]
    [InlineData("Forwarded", "for=192.0.2.1")]
    [InlineData("Via", "1.1 proxy")]
    [InlineData("X-Forwarded-Proto", "https")]
    [InlineData("X-Forwarded-Host", "connections.example")]
    public async Task WithoutAPolicy_RequestOfAnotherMachine_IsRefused(string header, string value)
    {
        await using var server = await DashboardServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/connections/api/connections");
        request.Headers.Add(header, value);

        using var answer = await server.Client.SendAsync(request);

        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
        Assert.Contains("no authorization policy", await DashboardReadTests.ErrorAsync(answer), StringComparison.Ordinal);
    }

    // As nginx asks by default: its own name for the server in Host, and no header that tells of the proxy.
    [Fact]
    public async Task WithoutAPolicy_Http10_IsRefused()
    {
        await using var server = await DashboardServer.StartAsync();
        using var request = new HttpRequestMessage(HttpMethod.Get, "/connections/api/connections")
        {
            Version = HttpVersion.Version10,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };

        using var answer = await server.Client.SendAsync(request);

        Assert.Equal(HttpStatusCode.Forbidden, answer.StatusCode);
    }

    [Theory]
    [InlineData(null, HttpStatusCode.Unauthorized)]
    [InlineData("somebody", HttpStatusCode.Forbidden)]
    [InlineData("operator", HttpStatusCode.OK)]
    public async Task WithAPolicy_ItDecides(string? user, HttpStatusCode expected)
    {
        await using var server = await DashboardServer.StartAsync(map: static routes => routes.RequireAuthorization("operators"));
        using var request = new HttpRequestMessage(HttpMethod.Get, "/connections/");
        request.Headers.Host = "connections.example";
        if (user is not null)
        {
            request.Headers.Add(DashboardServer.UserHeader, user);
        }

        using var answer = await server.Client.SendAsync(request);

        Assert.Equal(expected, answer.StatusCode);
    }

    [Fact]
    public async Task Actions_NotAllowed_AreNotThere()
    {
        await using var server = await DashboardServer.StartAsync();
        using var peer = await server.ConnectAsync();

        using var answer = await PostAsync(server, "drain", user: "operator", token: "x", body: new { all = true });

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.Equal(1, server.Drain.ConnectionCount);
    }

    [Theory]
    [InlineData(null, true, null, HttpStatusCode.Unauthorized)]
    [InlineData("somebody", true, null, HttpStatusCode.Forbidden)]
    [InlineData("operator", false, null, HttpStatusCode.Forbidden)]
    [InlineData("operator", true, "http://other.example", HttpStatusCode.Forbidden)]
    [InlineData("operator", true, "null", HttpStatusCode.Forbidden)]
    [InlineData("operator", true, null, HttpStatusCode.NoContent)]
    [InlineData("operator", true, "own", HttpStatusCode.NoContent)]
    public async Task Abort_OnlyByWhoMayAndFromTheOwnPage(string? user, bool hasToken, string? origin, HttpStatusCode expected)
    {
        await using var server = await StartActingAsync();
        using var peer = await server.ConnectAsync();
        var id = Assert.Single(server.Drain.GetConnections()).ConnectionId;
        var token = hasToken ? await GetTokenAsync(server, user) : null;

        using var answer = await PostAsync(
            server,
            $"connections/{id}/abort",
            user,
            token,
            origin: origin == "own" ? server.Http.GetLeftPart(UriPartial.Authority) : origin);

        Assert.Equal(expected, answer.StatusCode);
        if (expected == HttpStatusCode.NoContent)
        {
            await Assert.ThrowsAnyAsync<IOException>(async () => await peer.GetStream().ReadExactlyAsync(new byte[1]));
        }
        else
        {
            Assert.Equal(CloseState.Open, Assert.Single(server.Drain.GetConnections()).State);
        }
    }

    [Fact]
    public async Task Abort_ConnectionIsGone_IsToldClearly()
    {
        await using var server = await StartActingAsync();

        using var answer = await PostAsync(
            server, "connections/0HX/abort", "operator", await GetTokenAsync(server, "operator"));

        Assert.Equal(HttpStatusCode.NotFound, answer.StatusCode);
        Assert.StartsWith("There is no connection \"0HX\".", await DashboardReadTests.ErrorAsync(answer), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Drain_ByTag_ClosesThoseAndNoOther()
    {
        await using var server = await StartActingAsync();
        using var first = await server.ConnectAsync("room-a");
        using var second = await server.ConnectAsync("room-a");
        using var other = await server.ConnectAsync("room-b");

        using var answer = await PostAsync(
            server, "drain", "operator", await GetTokenAsync(server, "operator"), new { tag = "room-a" });

        Assert.Equal(HttpStatusCode.Accepted, answer.StatusCode);
        Assert.Equal(2, (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("connections").GetInt32());
        Assert.Equal(0, await first.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(DashboardServer.Limit));
        Assert.Equal(0, await second.GetStream().ReadAsync(new byte[1]).AsTask().WaitAsync(DashboardServer.Limit));
        Assert.False(server.Drain.GetConnections().Single(static info => (string?)info.Tag == "room-b").IsCloseRequested);
    }

    [Theory]
    [InlineData("{}", "The request names no connections.")]
    [InlineData("null", "The request names no connections.")]
    [InlineData("{\"tag\":\"a\",\"timeoutSeconds\":-1}", "\"timeoutSeconds\" is -1. It must be from 0.001 to 86400.")]
    [InlineData("{\"tag\":\"a\",\"timeoutSeconds\":1e-9}", "\"timeoutSeconds\" is 1E-09. It must be from 0.001 to 86400.")]
    [InlineData("{\"tag\":\"a\",\"timeoutSeconds\":1e99}", "\"timeoutSeconds\" is 1E+99. It must be from 0.001 to 86400.")]
    [InlineData("{\"tag\":1}", "The request is not the JSON that is expected:")]
    [InlineData("drain", "The request is not the JSON that is expected:")]
    public async Task Drain_BadRequest_IsToldClearly(string body, string message)
    {
        await using var server = await StartActingAsync();
        using var peer = await server.ConnectAsync();
        using var request = new HttpRequestMessage(HttpMethod.Post, "/connections/api/drain") { Content = new StringContent(body) };
        request.Headers.Add(DashboardServer.UserHeader, "operator");
        request.Headers.Add("RequestVerificationToken", await GetTokenAsync(server, "operator"));

        using var answer = await server.Client.SendAsync(request);

        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.StartsWith(message, await DashboardReadTests.ErrorAsync(answer), StringComparison.Ordinal);
        Assert.False(Assert.Single(server.Drain.GetConnections()).IsCloseRequested);
    }

    [Theory]
    [InlineData(false, true, true, "Call builder.Services.AddGracefulShutdown() first.")]
    [InlineData(true, false, true, "Set ActionPolicy to the name of an authorization policy.")]
    [InlineData(true, true, false, "Call builder.Services.AddAntiforgery().")]
    public void Map_SomethingIsMissing_SaysWhatToDo(bool hasDrain, bool hasPolicy, bool hasAntiforgery, string advice)
    {
        var builder = WebApplication.CreateSlimBuilder();
        if (hasDrain)
        {
            builder.Services.AddGracefulShutdown();
        }

        if (hasAntiforgery)
        {
            builder.Services.AddAntiforgery();
        }

        using var app = builder.Build();

        var exception = Assert.Throws<InvalidOperationException>(() => app.MapGracefulConnections("/c", options =>
        {
            options.AllowActions = true;
            options.ActionPolicy = hasPolicy ? "operators" : null;
        }));
        Assert.Contains("\"/c\"", exception.Message, StringComparison.Ordinal);
        Assert.EndsWith(advice, exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(99)]
    [InlineData(60_001)]
    public void Interval_OutOfRange_SaysTheRule(int milliseconds)
    {
        var exception = Assert.Throws<ArgumentOutOfRangeException>(
            () => new GracefulDashboardOptions { Interval = TimeSpan.FromMilliseconds(milliseconds) });
        Assert.Contains("from 100 ms to 1 minute", exception.Message, StringComparison.Ordinal);
    }

    private static Task<DashboardServer> StartActingAsync() => DashboardServer.StartAsync(static options =>
    {
        options.AllowActions = true;
        options.ActionPolicy = "operators";
    });

    // A token is made for one user.
    private static async Task<string> GetTokenAsync(DashboardServer server, string? user)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/connections/api/summary");
        if (user is not null)
        {
            request.Headers.Add(DashboardServer.UserHeader, user);
        }

        using var answer = await server.Client.SendAsync(request);
        return (await answer.Content.ReadFromJsonAsync<JsonElement>()).GetProperty("requestToken").GetString()!;
    }

    private static async Task<HttpResponseMessage> PostAsync(
        DashboardServer server, string path, string? user, string? token, object? body = null, string? origin = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, $"/connections/api/{path}");
        request.Content = body is null ? null : JsonContent.Create(body);
        if (user is not null)
        {
            request.Headers.Add(DashboardServer.UserHeader, user);
        }

        if (token is not null)
        {
            request.Headers.Add("RequestVerificationToken", token);
        }

        if (origin is not null)
        {
            request.Headers.Add("Origin", origin);
        }

        return await server.Client.SendAsync(request);
    }
}
