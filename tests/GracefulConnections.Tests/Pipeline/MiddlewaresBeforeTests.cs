using GracefulConnections.Pipeline;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.Tests.Pipeline;

public class MiddlewaresBeforeTests
{
    private readonly ConnectionBuilder _builder = new(new FakeServices());

    [Fact]
    public void Look_Nobody_IsFalse() => Assert.False(MiddlewaresBefore.Look(_builder).HasAny);

    [Fact]
    public void Look_Middleware_IsTrue() => Assert.True(MiddlewaresBefore.Look(_builder.Use(static next => connection => next(connection))).HasAny);

    [Fact]
    public void Look_OneOfUsOnly_IsFalse() => Assert.False(MiddlewaresBefore.Look(_builder.UseGracefulShutdown()).HasAny); // It writes nothing.

    [Fact]
    public void Look_MiddlewareThatOnlyHandsOnTheNext_IsFalse() => Assert.False(MiddlewaresBefore.Look(_builder.Use(static next => next)).HasAny);

    [Fact]
    public void Look_MiddlewareThatCannotBeBuilt_IsTrueAndThrowsNothing() =>
        Assert.True(MiddlewaresBefore.Look(_builder.Use(static ConnectionDelegate (next) => throw new InvalidTimeZoneException())).HasAny);

    [Fact]
    public void Look_Again_FindsTheSame()
    {
        Assert.False(MiddlewaresBefore.Look(_builder).HasAny);
        Assert.False(MiddlewaresBefore.Look(_builder).HasAny); // What the first look added is no middleware.
        _builder.Use(static next => connection => next(connection));
        Assert.True(MiddlewaresBefore.Look(_builder).HasAny);
        Assert.False(MiddlewaresBefore.IsLooking);
    }

    [Theory]
    [InlineData("run")]
    [InlineData("handler")]
    [InlineData("middleware, run")]
    public void UseGracefulShutdown_BehindATerminal_ThrowsAndNamesTheOrder(string before)
    {
        switch (before)
        {
            case "run":
                _builder.Run(static _ => Task.CompletedTask);
                break;
            case "handler":
                _builder.UseConnectionHandler<Handler>();
                break;
            default:
                _builder.Use(static next => connection => next(connection)).Run(static _ => Task.CompletedTask);
                break;
        }

        var exception = Assert.Throws<InvalidOperationException>(() => _builder.UseGracefulShutdown());

        Assert.Contains("after Run() or UseConnectionHandler()", exception.Message, StringComparison.Ordinal);
        Assert.Contains("Call UseGracefulShutdown() first", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task UseGracefulShutdown_BehindAMiddleware_EveryOneRunsOnceForAConnection()
    {
        var ran = new List<string>();
        var peer = new InMemoryConnection();
        peer.HalfClose();
        var run = _builder
            .Use(next => connection =>
            {
                ran.Add("before");
                return next(connection);
            })
            .UseGracefulShutdown()
            .Run(_ =>
            {
                ran.Add("handler");
                return Task.CompletedTask;
            })
            .Build();

        await run(peer).WithinLimit();

        Assert.Equal(["before", "handler"], ran);
    }

    private sealed class Handler : ConnectionHandler
    {
        public override Task OnConnectedAsync(ConnectionContext connection) => Task.CompletedTask;
    }
}
