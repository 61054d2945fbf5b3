using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Frameworks.Tests;

/// <summary>SignalR clients that connect again by themselves.</summary>
public class SignalRTests
{
    private const int ClientCount = 8;

    [Theory]
    [InlineData(HttpTransportType.WebSockets)]
    [InlineData(HttpTransportType.ServerSentEvents)]
    [InlineData(HttpTransportType.LongPolling)]
    public async Task Stop_CallsInHand_NoMoreAreLostThanOnStock_AndEveryClientComesBack(HttpTransportType transport) =>
        await Comparison.RunAsync($"SignalR over {transport}", setup => RunAsync(setup, transport));

    private static async Task<StopFigures> RunAsync(Setup setup, HttpTransportType transport)
    {
        await using var server = await StartAsync(setup, FreePort.Find());
        var port = server.Port;
        var clients = new List<HubConnection>();
        var back = new List<Task>();
        var restarted = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var mayConnect = Task.CompletedTask;
        for (var i = 0; i < ClientCount; i++)
        {
            var client = new HubConnectionBuilder()
                .WithUrl($"http://127.0.0.1:{port}/work", transport, options => options.HttpMessageHandlerFactory =
                    inner => new PatientHandler(() => Volatile.Read(ref mayConnect)) { InnerHandler = inner })
                .WithAutomaticReconnect(new OftenAndForever())
                .Build();
            var again = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            client.Reconnected += _ =>
            {
                again.TrySetResult();
                return Task.CompletedTask;
            };
            back.Add(again.Task);
            clients.Add(client);
            await client.StartAsync().WaitAsync(Waiting.Limit);
            Assert.Equal(1, await client.InvokeAsync<int>(nameof(WorkHub.DoAsync), 1).WaitAsync(Waiting.Limit));
        }

        Volatile.Write(ref mayConnect, restarted.Task);
        var figures = await server.StopUnderLoadAsync(
            [.. clients.Select(static client => (Func<Task>)(() => client.InvokeAsync<int>(nameof(WorkHub.DoAsync), 2)))]);

        await using (await StartAsync(setup, port))
        {
            restarted.SetResult();
            await Task.WhenAll(back).WaitAsync(Waiting.Limit);
            foreach (var client in clients)
            {
                await client.DisposeAsync().AsTask().WaitAsync(Waiting.Limit);
            }
        }

        return figures;
    }

    private static Task<FrameworkServer> StartAsync(Setup setup, int port) => FrameworkServer.StartAsync(
        setup,
        static services => services.AddSignalR(),
        static app => app.MapHub<WorkHub>("/work"),
        port: port);

    private sealed class WorkHub(Gate gate) : Hub
    {
        public async Task<int> DoAsync(int number)
        {
            await gate.PassAsync();
            return number;
        }
    }

    // A client that comes back while the server, which has closed it, still accepts stays until it is aborted: on stock
    // Kestrel too, but not in the same run.
    private sealed class PatientHandler(Func<Task> mayConnect) : DelegatingHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(
            HttpRequestMessage request, CancellationToken cancellationToken)
        {
            if (request.RequestUri!.AbsolutePath.EndsWith("/negotiate", StringComparison.Ordinal))
            {
                await mayConnect().WaitAsync(cancellationToken);
            }

            return await base.SendAsync(request, cancellationToken);
        }
    }

    private sealed class OftenAndForever : IRetryPolicy
    {
        public TimeSpan? NextRetryDelay(RetryContext retryContext) => TimeSpan.FromMilliseconds(100);
    }
}
