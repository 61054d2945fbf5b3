using System.Net;
using System.Net.Security;
using GracefulConnections.Benchmarks.Load;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.Benchmarks.Rows;

/// <summary>Every connection asks for a feed of small messages, each of which the server flushes by itself.</summary>
internal sealed class FeedBenchmark : LoadBenchmark
{
    private const int Connections = 4;
    private const int Messages = 5_000;

    private static readonly byte[] Message = new byte[64];

    public override string Name => "feed-64B";

    public override string Description => $"{Connections} connections, each a feed of {Messages:N0} messages of {Message.Length} B, each flushed by itself, again and again";

    protected override string Unit => "message";

    protected override async Task ServeAsync(ConnectionContext connection)
    {
        var (input, output) = (connection.Transport.Input, connection.Transport.Output);
        while (true)
        {
            var read = await input.ReadAsync();
            if (read.IsCompleted)
            {
                return;
            }

            input.AdvanceTo(read.Buffer.End);
            for (var i = 0; i < Messages; i++)
            {
                await output.WriteAsync(Message);
            }
        }
    }

    protected override ILoad CreateLoad(IPEndPoint endPoint, SslClientAuthenticationOptions? tls) => new FeedLoad(endPoint, Connections, Messages, Message.Length);
}
