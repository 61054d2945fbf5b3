using System.Net;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace GracefulConnections.FunctionalTests.Draining;

/// <summary>A handler that has a message in hand when its server stops, and answers it when the test says so.</summary>
internal sealed class SlowAnswer
{
    private const int MessageBytes = 100;

    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _stopSeen = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _mayAnswer = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Gets a time after which Kestrel has aborted the connections of an endpoint that a reload removes.</summary>
    public static TimeSpan LongerThanAReload { get; } = TimeSpan.FromSeconds(8);

    /// <summary>Gets the task that ends when the connection is asked to close.</summary>
    public Task StopSeen => _stopSeen.Task.InTimeAsync();

    public static void AddDrain(IServiceCollection services, FakeTimeProvider time, bool isStock)
    {
        services.AddSingleton<TimeProvider>(time);
        if (!isStock)
        {
            services.AddGracefulShutdown();
        }
    }

    /// <summary>The peer has its answer, and the end.</summary>
    public static async Task AssertIsAnsweredAsync(ScriptedPeer peer)
    {
        await peer.ReadExactlyAsync(MessageBytes);
        peer.HalfClose(); // Stock lets no connection go that has not ended.
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    public void Serve(ListenOptions endpoint, bool isStock)
    {
        endpoint.Use(next => connection =>
        {
            connection.Features.Get<IConnectionLifetimeNotificationFeature>()!
                .ConnectionClosedRequested.Register(_stopSeen.SetResult);
            return next(connection);
        });
        if (!isStock)
        {
            endpoint.UseGracefulShutdown();
        }

        endpoint.Run(async connection =>
        {
            await connection.ReadExactlyAsync(MessageBytes);
            _asked.SetResult();
            await _mayAnswer.Task;
            await connection.SendAsync(MessageBytes);
            await connection.ReadToEndAsync();
        });
    }

    /// <summary>Connects, and sends the message.</summary>
    public async Task<ScriptedPeer> AskAsync(EndPoint endPoint)
    {
        var peer = await ScriptedPeer.ConnectAsync(endPoint);
        await peer.SendAsync(new byte[MessageBytes]);
        await _asked.Task.InTimeAsync();
        return peer;
    }

    public void Answer() => _mayAnswer.SetResult();

    /// <summary>The server stops, time goes by, and only then comes the answer.</summary>
    public async Task AnswerAfterAsync(TimeSpan time, FakeTimeProvider clock)
    {
        await _stopSeen.Task.InTimeAsync();
        for (var gone = TimeSpan.Zero; gone < time; gone += TimeSpan.FromSeconds(0.5))
        {
            clock.Advance(TimeSpan.FromSeconds(0.5));
        }

        _mayAnswer.SetResult();
    }
}
