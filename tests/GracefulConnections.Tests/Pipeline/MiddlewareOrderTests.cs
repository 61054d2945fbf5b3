using GracefulConnections.Pipeline;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Https.Internal;

namespace GracefulConnections.Tests.Pipeline;

public class MiddlewareOrderTests
{
    [Theory]
    [InlineData("", false, false)]
    [InlineData("L", false, false)]
    [InlineData("T", true, false)]
    [InlineData("LT", true, false)]
    [InlineData("TL", true, false)]
    [InlineData("G", false, true)]
    [InlineData("LLG", false, true)]
    [InlineData("TG", true, true)]
    [InlineData("LTLGL", true, true)]
    [InlineData("GT", false, true)] // What the next one closes is its own affair.
    public void Read_MiddlewaresBehindUs_FindsTlsAndTheNextOfUs(string order, bool hasTls, bool hasGraceful) =>
        Assert.Equal(new MiddlewareOrder(hasTls, hasGraceful), MiddlewareOrder.Read(Build(order).Run(static _ => Task.CompletedTask).Build()));

    [Theory]
    [InlineData("", false, false)] // It finds the one outside, and leaves the close to it.
    [InlineData("L", false, false)]
    [InlineData("T", true, true)] // Outside of TLS is another part: it closes TLS by itself.
    [InlineData("LTL", true, true)]
    public void Read_GracefulConnectionHandler_IsOneOfUsInsideOfTls(string order, bool hasTls, bool hasGraceful) =>
        Assert.Equal(new MiddlewareOrder(hasTls, hasGraceful), MiddlewareOrder.Read(Build(order).UseConnectionHandler<Handler>().Build()));

    [Fact]
    public void Read_OtherConnectionHandlerBehindTls_IsNoneOfUs() =>
        Assert.Equal(new MiddlewareOrder(HasTls: true, HasGraceful: false), MiddlewareOrder.Read(Build("T").UseConnectionHandler<OtherHandler>().Build()));

    [Fact]
    public void Read_ChainThatLeadsBack_ComesToAnEnd()
    {
        var (first, second) = (new Link(), new Link());
        (first.Next, second.Next) = (second.OnConnectionAsync, first.OnConnectionAsync);

        Assert.Equal(default, MiddlewareOrder.Read(first.OnConnectionAsync));
    }

    private static ConnectionBuilder Build(string order)
    {
        var builder = new ConnectionBuilder(new FakeServices());
        foreach (var letter in order)
        {
            _ = letter switch
            {
                'G' => builder.UseGracefulShutdown(),
                'T' => builder.Use(static next => new HttpsConnectionMiddleware(next).OnConnectionAsync),
                _ => builder.Use(static next => connection => next(connection)),
            };
        }

        return builder;
    }

    private sealed class Handler : GracefulConnectionHandler
    {
        protected override Task ServeAsync(ConnectionContext connection, CancellationToken closeRequested) => Task.CompletedTask;
    }

    private sealed class OtherHandler : ConnectionHandler
    {
        public override Task OnConnectedAsync(ConnectionContext connection) => Task.CompletedTask;
    }

    private sealed class Link
    {
        public ConnectionDelegate? Next { get; set; }

        public Task OnConnectionAsync(ConnectionContext connection) => Next!(connection);
    }
}
