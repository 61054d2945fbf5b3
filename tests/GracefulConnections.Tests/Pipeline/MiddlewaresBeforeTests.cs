using GracefulConnections.Pipeline;
using GracefulConnections.Tests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.Tests.Pipeline;

public class MiddlewaresBeforeTests
{
    // Nobody writes such a pair, and yet it must not end the process.
    [Fact]
    public void Look_BuildersThatWrapEachOther_SomebodyMayStandBefore()
    {
        var pair = new Pair();
        pair.Other = new Pair { Other = pair };

        Assert.Equal((true, true, true), MiddlewaresBefore.Look(pair));
    }

    private readonly ConnectionBuilder _builder = new(new FakeServices());

    [Fact]
    public void Look_Nobody_IsFalse() => Assert.False(MiddlewaresBefore.Look(_builder).HasAny);

    [Fact]
    public void Look_Middleware_IsTrue() => Assert.True(MiddlewaresBefore.Look(_builder.Use(static next => connection => next(connection))).HasAny);

    [Fact]
    public void Look_OneOfUsOnly_IsFalse() => Assert.False(MiddlewaresBefore.Look(_builder.UseGracefulShutdown()).HasAny); // It writes nothing.

    [Fact]
    public void Look_MiddlewareOfAStaticMethod_IsTrue() => Assert.True(MiddlewaresBefore.Look(_builder.Use(HandOn)).HasAny);

    [Fact]
    public void Look_BuilderThatWrapsAnother_FindsTheSame()
    {
        var wrapper = new Wrapper(_builder);
        Assert.False(MiddlewaresBefore.Look(wrapper).HasAny);
        _builder.Use(HandOn);
        Assert.Equal((true, true, false), MiddlewaresBefore.Look(wrapper));
    }

    [Fact]
    public void Look_BuilderThatNobodyKnows_AssumesSomebody() =>
        Assert.Equal((true, true, true), MiddlewaresBefore.Look(new Unknown()));

    [Fact]
    public void UseGracefulShutdown_MiddlewareBefore_IsMadeOnce()
    {
        var made = 0;
        _builder
            .Use(next =>
            {
                made++;
                return next;
            })
            .UseGracefulShutdown()
            .Run(static _ => Task.CompletedTask)
            .Build();

        Assert.Equal(1, made);
    }

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

    private static ConnectionDelegate HandOn(ConnectionDelegate next) => next;

    private sealed class Wrapper(IConnectionBuilder inner) : IConnectionBuilder
    {
        public IServiceProvider ApplicationServices => inner.ApplicationServices;

        public IConnectionBuilder Use(Func<ConnectionDelegate, ConnectionDelegate> middleware) => inner.Use(middleware);

        public ConnectionDelegate Build() => inner.Build();
    }

    private sealed class Pair : IConnectionBuilder
    {
        public IConnectionBuilder? Other { get; set; }

        public IServiceProvider ApplicationServices => throw new NotSupportedException();

        public IConnectionBuilder Use(Func<ConnectionDelegate, ConnectionDelegate> middleware) =>
            throw new NotSupportedException();

        public ConnectionDelegate Build() => throw new NotSupportedException();
    }

    private sealed class Unknown : IConnectionBuilder
    {
        public IServiceProvider ApplicationServices => throw new NotSupportedException();

        public IConnectionBuilder Use(Func<ConnectionDelegate, ConnectionDelegate> middleware) =>
            throw new NotSupportedException();

        public ConnectionDelegate Build() => throw new NotSupportedException();
    }

    private sealed class Handler : ConnectionHandler
    {
        public override Task OnConnectedAsync(ConnectionContext connection) => Task.CompletedTask;
    }
}
