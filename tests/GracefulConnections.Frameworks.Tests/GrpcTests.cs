using GracefulConnections.Frameworks.Tests.Calls;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace GracefulConnections.Frameworks.Tests;

/// <summary>Calls of all four kinds.</summary>
public class GrpcTests
{
    private const int ClientCount = 8;

    [Theory]
    [InlineData("unary")]
    [InlineData("server streaming")]
    [InlineData("client streaming")]
    [InlineData("duplex")]
    public async Task Stop_CallsInHand_NoMoreAreLostThanOnStock(string kind)
    {
        var figures = await Comparison.RunAsync($"gRPC, {kind}", setup => RunAsync(setup, kind));
        Assert.Equal(0, figures[Setup.Draining].Lost);
    }

    private static async Task<StopFigures> RunAsync(Setup setup, string kind)
    {
        await using var server = await FrameworkServer.StartAsync(
            setup,
            static services => services.AddGrpc(),
            static app => app.MapGrpcService<WorkService>(),
            HttpProtocols.Http2);
        var channels = Enumerable.Range(0, ClientCount)
            .Select(_ => GrpcChannel.ForAddress($"http://127.0.0.1:{server.Port}"))
            .ToList();
        var clients = channels.ConvertAll(static channel => new Work.WorkClient(channel));
        foreach (var client in clients)
        {
            Assert.Equal(1, (await client.UnaryAsync(new Piece { Number = 1 })).Number);
        }

        var figures = await server.StopUnderLoadAsync(
            [.. clients.Select(client => (Func<Task>)(() => CallAsync(client, kind, server.Gate)))]);
        channels.ForEach(static channel => channel.Dispose());
        return figures;
    }

    private static Task CallAsync(Work.WorkClient client, string kind, Gate gate) => kind switch
    {
        "unary" => UnaryAsync(client),
        "server streaming" => DownloadAsync(client),
        "client streaming" => UploadAsync(client),
        _ => BothAsync(client),
    };

    private static async Task UnaryAsync(Work.WorkClient client) =>
        Assert.Equal(2, (await client.UnaryAsync(new Piece { Number = 2 })).Number);

    private static async Task DownloadAsync(Work.WorkClient client)
    {
        using var call = client.Download(new Piece { Number = 2 });
        Assert.Equal([1, 2], await call.ResponseStream.ReadAllAsync().Select(static piece => piece.Number).ToListAsync());
    }

    private static async Task UploadAsync(Work.WorkClient client)
    {
        using var call = client.Upload();
        await call.RequestStream.WriteAsync(new Piece { Number = 1 });
        await call.RequestStream.WriteAsync(new Piece { Number = 2 });
        await call.RequestStream.CompleteAsync();
        Assert.Equal(3, (await call).Number);
    }

    private static async Task BothAsync(Work.WorkClient client)
    {
        using var call = client.Both();
        await call.RequestStream.WriteAsync(new Piece { Number = 1 });
        Assert.True(await call.ResponseStream.MoveNext());
        await call.RequestStream.WriteAsync(new Piece { Number = 2 });
        await call.RequestStream.CompleteAsync();
        Assert.Equal([2], await call.ResponseStream.ReadAllAsync().Select(static piece => piece.Number).ToListAsync());
    }

    private sealed class WorkService(Gate gate) : Work.WorkBase
    {
        public override async Task<Piece> Unary(Piece request, ServerCallContext context)
        {
            await gate.PassAsync();
            return request;
        }

        public override async Task Download(Piece request, IServerStreamWriter<Piece> responseStream, ServerCallContext context)
        {
            await responseStream.WriteAsync(new Piece { Number = 1 });
            await gate.PassAsync();
            await responseStream.WriteAsync(request);
        }

        public override async Task<Piece> Upload(IAsyncStreamReader<Piece> requestStream, ServerCallContext context)
        {
            var sum = new Piece();
            await foreach (var piece in requestStream.ReadAllAsync())
            {
                sum.Number += piece.Number;
                if (piece.Number == 1)
                {
                    await gate.PassAsync();
                }
            }

            return sum;
        }

        public override async Task Both(
            IAsyncStreamReader<Piece> requestStream, IServerStreamWriter<Piece> responseStream, ServerCallContext context)
        {
            await foreach (var piece in requestStream.ReadAllAsync())
            {
                await responseStream.WriteAsync(piece);
                if (piece.Number == 1)
                {
                    await gate.PassAsync();
                }
            }
        }
    }
}
