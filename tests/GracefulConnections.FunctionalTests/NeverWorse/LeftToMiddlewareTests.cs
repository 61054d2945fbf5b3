using System.IO.Pipelines;
using System.Text;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using GracefulConnections.FunctionalTests.Tls;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Middlewares that keep the library from taking a connection over, and go on when the handler has returned. What they do then comes off as on stock.
/// </summary>
public class LeftToMiddlewareTests
{
    private const int ReplyBytes = 500_000;
    private const string Rest = "the rest";
    private const string Trailer = "trailer\r\n";

    /// <summary>Why the connection is left to the server.</summary>
    public enum Shape
    {
        /// <summary>The middleware stands between TLS and the library.</summary>
        BehindTls,

        /// <summary>As before, and in front of TLS another one keeps what follows where nobody sees it.</summary>
        BehindHiddenTls,

        /// <summary>It stands on a transport made of streams.</summary>
        OnStream,

        /// <summary>It stands on a transport made of pipes.</summary>
        OnPipes,

        /// <summary>It has written a banner.</summary>
        Banner,
    }

    [Theory]
    [InlineData(Shape.BehindTls, false, 10)]
    [InlineData(Shape.BehindTls, true, 10)]
    [InlineData(Shape.BehindTls, true, ReplyBytes)]
    [InlineData(Shape.BehindHiddenTls, true, 10)]
    [InlineData(Shape.OnStream, true, 10)]
    [InlineData(Shape.OnStream, false, ReplyBytes)]
    [InlineData(Shape.OnPipes, false, 10)]
    [InlineData(Shape.OnPipes, true, ReplyBytes)]
    [InlineData(Shape.Banner, true, 10)]
    [InlineData(Shape.Banner, false, ReplyBytes)]
    public async Task Trailer_WhenTheHandlerHasReturned_Arrives(Shape shape, bool keepsTheWriter, int replyBytes)
    {
        var played = await Habit.CompareAsync(
            (connection, _) => connection.SendAsync(replyBytes),
            static play => play.Peer.EndedAsync(),
            Setup(shape, async (connection, next) =>
            {
                var output = connection.Transport.Output;
                await next(connection);
                output = keepsTheWriter ? output : connection.Transport.Output;
                var flush = await output.WriteAsync(Encoding.ASCII.GetBytes(Trailer));
                Assert.Equal((false, false), (flush.IsCanceled, flush.IsCompleted));
            }));

        foreach (var result in (HabitResult[])[played.Stock, played.Ours])
        {
            Assert.EndsWith(Trailer, Encoding.ASCII.GetString(result.Received), StringComparison.Ordinal);
            Assert.Equal(PeerSaw.Eof, result.End);
            Assert.Empty(result.Errors);
        }

        Assert.Equal(played.Stock.Received, played.Ours.Received);
        Assert.Equal(CloseOutcome.LeftToServer, played.Ours.Close!.Value.Outcome);
    }

    [Theory]
    [InlineData(Shape.BehindTls)]
    [InlineData(Shape.OnStream)]
    [InlineData(Shape.OnPipes)]
    [InlineData(Shape.Banner)]
    public async Task Rest_WhenTheHandlerHasReturned_IsRead(Shape shape)
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                await connection.ReadExactlyAsync(1);
                await connection.SendAsync(10);
                play.Note("handler");
            },
            static async play =>
            {
                await SendAsync(play, "x");
                await play.Handled.InTimeAsync();
                await SendAsync(play, Rest);
                await play.Peer.EndedAsync();
            },
            Setup(shape, static async (connection, next) =>
            {
                await next(connection);
                await connection.ReadExactlyAsync(Rest.Length);
                await connection.Transport.Output.WriteAsync(Encoding.ASCII.GetBytes(Trailer));
            }));

        Assert.EndsWith(Trailer, Encoding.ASCII.GetString(played.Stock.Received), StringComparison.Ordinal);
        played.AssertCarriedAlike(["handler"], Encoding.ASCII.GetString(played.Stock.Received));
        Assert.Equal((PeerSaw.Eof, PeerSaw.Eof), (played.Stock.End, played.Ours.End));
    }

    private static Task SendAsync(HabitPlay play, string text) => play.Peer.Tls is { } tls
        ? tls.SendAsync(Encoding.ASCII.GetBytes(text))
        : play.Peer.SendAsync(Encoding.ASCII.GetBytes(text));

    private static HabitSetup Setup(Shape shape, Func<ConnectionContext, ConnectionDelegate, Task> middleware) => new()
    {
        Greet = IsTls(shape) ? HeldTls.GreetAsync : null,
        ReadsAtOnce = !IsTls(shape),
        Before = endpoint =>
        {
            switch (shape)
            {
                case Shape.BehindHiddenTls:
                    endpoint.Use(Hide);
                    goto case Shape.BehindTls;
                case Shape.BehindTls:
                    endpoint.UseHttps(TestCertificate.Server);
                    break;
                case Shape.OnStream:
                    endpoint.Use(static next => connection => OnStreamAsync(connection, next));
                    break;
                case Shape.OnPipes:
                    endpoint.Use(static next => new CopyingMiddleware(next).OnConnectionAsync);
                    break;
                default:
                    endpoint.Use(static next => async connection =>
                    {
                        await connection.Transport.Output.WriteAsync("hello\r\n"u8.ToArray());
                        await next(connection);
                    });
                    break;
            }

            endpoint.Use(next => connection => middleware(connection, next));
        },
    };

    private static bool IsTls(Shape shape) => shape is Shape.BehindTls or Shape.BehindHiddenTls;

    private static ConnectionDelegate Hide(ConnectionDelegate next)
    {
        var hidden = Tuple.Create(next);
        return connection => hidden.Item1(connection);
    }

    private static async Task OnStreamAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var transport = connection.Transport;
        connection.Transport = new Pair(PipeReader.Create(transport.Input.AsStream()), PipeWriter.Create(transport.Output.AsStream()));
        try
        {
            await next(connection);
        }
        finally
        {
            connection.Transport = transport;
        }
    }

    private sealed record Pair(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
