using System.Diagnostics;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using MQTTnet.AspNetCore;
using MQTTnet.Server;

namespace GracefulConnections.Frameworks.Tests;

/// <summary>MQTTnet as the broker of mosquitto's programs.</summary>
public class MqttTests
{
    private const int MessageCount = 10; // QoS 2 needs four packets for each on either side.

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Stop_LastMessageInHand_NoMoreAreLostThanOnStock(int qos)
    {
        ClientProgram.Require("mosquitto_pub", "mosquitto-clients");
        ClientProgram.Require("mosquitto_sub", "mosquitto-clients");
        await Comparison.RunAsync($"MQTTnet, QoS {qos}", setup => RunAsync(setup, qos));
    }

    private static async Task<StopFigures> RunAsync(Setup setup, int qos)
    {
        await using var server = await FrameworkServer.StartAsync(
            setup,
            static services =>
            {
                services.AddHostedMqttServer(static options => options.WithoutDefaultEndpoint());
                services.AddMqttConnectionHandler();
                services.AddConnections();
            },
            static _ => { },
            serve: static endpoint => endpoint.UseMqtt());
        var broker = server.Services.GetRequiredService<MqttServer>();
        var subscribed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var count = 0;
        broker.ClientSubscribedTopicAsync += _ =>
        {
            subscribed.TrySetResult();
            return Task.CompletedTask;
        };
        broker.InterceptingPublishAsync += _ =>
            Interlocked.Increment(ref count) == MessageCount ? server.Gate.PassAsync() : Task.CompletedTask;

        string[] common = ["-h", "127.0.0.1", "-p", $"{server.Port}", "-t", "news", "-q", $"{qos}", "-V", "mqttv5"];
        await using var subscriber = new ClientProgram("mosquitto_sub", [.. common, "-i", "reader"]);
        await subscribed.Task.WaitAsync(Waiting.Limit);
        await using var publisher = new ClientProgram("mosquitto_pub", [.. common, "-i", "writer", "-l"]);
        var figures = await server.StopUnderLoadAsync([async () =>
        {
            for (var i = 0; i < MessageCount; i++)
            {
                await publisher.Input.WriteLineAsync($"message {i}");
            }

            await publisher.Input.FlushAsync();
        }]);

        var received = (await subscriber.EndAsync()).Split('\n', StringSplitOptions.RemoveEmptyEntries).Distinct().Count();
        return figures with { Calls = MessageCount, Lost = MessageCount - received };
    }
}
