using System.Net;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.Logging;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// A middleware before <c>UseGracefulShutdown()</c> that commits when <c>next</c> returns and rolls back when it throws.
/// </summary>
public class UnitOfWorkTests
{
    private const int HeadBytes = 4;
    private const int BodyBytes = 200;

    // Half a message must not be committed, however its sender ends.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task HalfAMessage_ThePeerEnds_IsRolledBack(bool resets)
    {
        var played = await CompareAsync(
            ReadMessageAsync,
            async play =>
            {
                await play.Peer.SendAsync(new byte[HeadBytes + (BodyBytes / 2)]);
                await play.NotedAsync(2);
                if (resets)
                {
                    play.Peer.Socket.Close(0);
                }
                else
                {
                    play.Peer.HalfClose();
                }

                await play.NotedAsync(3);
            });

        var thrown = resets ? nameof(ConnectionResetException) : nameof(EndOfStreamException);
        string[] executed = ["begin", "head", $"rollback {thrown}"];
        Assert.Equal(executed, played.Stock.Executed);
        Assert.Equal(executed, played.Ours.Executed);
        Assert.Equal((1, 1), (played.Stock.Errors.Count, played.Ours.Errors.Count)); // Both throw it on to the server.
        Assert.Equal(resets ? CloseReason.PeerReset : CloseReason.HandlerCompleted, played.Ours.Close!.Value.Reason);
    }

    // The library's own cancellation, which stock does not know.
    [Theory]
    [InlineData(true, false)]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task CloseRequest_CancelsTheRead_RollsBackHalfAMessageOnly(bool isHalf, bool readsByToken)
    {
        var result = await PlayAsync(
            async (connection, play) =>
            {
                var token = readsByToken ? play.CloseRequested : CancellationToken.None;
                var input = connection.Transport.Input.AsStream();
                await input.ReadExactlyAsync(new byte[HeadBytes], token);
                play.Note("head");
                await input.ReadExactlyAsync(new byte[BodyBytes], token);
                await connection.Transport.Output.WriteAsync("ok"u8.ToArray(), token);
                play.Note("answered");
                await input.ReadExactlyAsync(new byte[HeadBytes], token);
            },
            async play =>
            {
                await play.Peer.SendAsync(new byte[HeadBytes + (isHalf ? BodyBytes / 2 : BodyBytes)]);
                await play.NotedAsync(isHalf ? 2 : 3);
                play.Graceful!.RequestClose();
                await play.Peer.EndedAsync();
            });

        Assert.Equal(
            isHalf ? ["begin", "head", "rollback OperationCanceledException"] : ["begin", "head", "answered", "commit"],
            result.Executed.Select(static note => note.Replace("TaskC", "OperationC", StringComparison.Ordinal)));
        Assert.Equal(isHalf ? 1 : 0, result.Errors.Count);
    }

    // Without a drain the handler's task is awaited elsewhere.
    [Fact]
    public async Task HalfAMessage_ServerWithoutDrain_IsRolledBack()
    {
        var play = new HabitPlay(isStock: false);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (_, endpoint) =>
            {
                Use(endpoint, play, ended);
                endpoint.UseGracefulShutdown().Run(connection => ReadMessageAsync(connection, play));
            });
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[HeadBytes + (BodyBytes / 2)]);
        peer.HalfClose();

        await ended.Task.InTimeAsync();

        Assert.Equal(["begin", "head", $"rollback {nameof(EndOfStreamException)}"], play.Executed);
    }

    [Theory]
    [InlineData(TlsPlacement.Outside)]
    [InlineData(TlsPlacement.Both)]
    public async Task HalfAMessageInsideOfTls_ThePeerEnds_IsRolledBack(TlsPlacement placement)
    {
        var play = new HabitPlay(isStock: false);
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var log = new CapturedLog();
        await using var server = await TestServer.StartTlsAsync(
            placement,
            connection => ReadMessageAsync(connection, play),
            build: builder =>
            {
                builder.Logging.AddProvider(log);
                builder.WebHost.ConfigureKestrel(kestrel =>
                    kestrel.ConfigureEndpointDefaults(endpoint => Use(endpoint, play, ended)));
            });
        await using (var peer = await TlsPeer.ConnectAsync(server))
        {
            await peer.SendAsync(new byte[HeadBytes + (BodyBytes / 2)]);
            peer.Tcp.HalfClose();
            await ended.Task.InTimeAsync();
        }

        Assert.Equal(["begin", "head", $"rollback {nameof(EndOfStreamException)}"], play.Executed);
        Assert.Equal(CloseReason.HandlerCompleted, (await server.NextResultAsync()).Reason);
    }

    // The server's own middlewares commit nothing, so nothing is thrown on to the server's log.
    [Fact]
    public async Task PeerResets_BehindTheServersOwnMiddlewares_LogsNoError()
    {
        var play = new HabitPlay(isStock: false);
        using var log = new CapturedLog();
        await using (var server = await TestServer.StartAsync(
            new IPEndPoint(IPAddress.Loopback, 0),
            (server, endpoint) =>
            {
                endpoint.UseConnectionLogging();
                endpoint.UseHttps(TestCertificate.Server);
                endpoint.UseGracefulShutdown().Use(server.ObserveResults)
                    .Run(connection => ReadMessageAsync(connection, play));
            },
            builder => builder.Logging.AddProvider(log)))
        {
            await using var peer = await TlsPeer.ConnectAsync(server);
            await peer.SendAsync(new byte[HeadBytes + (BodyBytes / 2)]);
            await play.NotedAsync(1);
            peer.Tcp.Socket.Close(0);
            Assert.Equal(CloseReason.PeerReset, (await server.NextResultAsync()).Reason);
        }

        Assert.DoesNotContain(log.Entries, static entry => entry.Level >= LogLevel.Warning);
    }

    private static async Task ReadMessageAsync(ConnectionContext connection, HabitPlay play)
    {
        var input = connection.Transport.Input.AsStream();
        await input.ReadExactlyAsync(new byte[HeadBytes]);
        play.Note("head");
        await input.ReadExactlyAsync(new byte[BodyBytes]);
        play.Note("executed");
    }

    private static void Use(ListenOptions endpoint, HabitPlay play, TaskCompletionSource? ended = null) =>
        endpoint.Use(next => async connection =>
        {
            play.Note("begin");
            try
            {
                await next(connection);
                play.Note("commit");
            }
            catch (Exception exception)
            {
                play.Note($"rollback {exception.GetType().Name}");
                throw;
            }
            finally
            {
                ended?.SetResult();
            }
        });

    private static async Task<HabitComparison> CompareAsync(
        Func<ConnectionContext, HabitPlay, Task> handler, Func<HabitPlay, Task> script)
    {
        var results = await Task.WhenAll(
            PlayAsync(handler, script, isStock: true), PlayAsync(handler, script, isStock: false));
        var played = new HabitComparison(results[0], results[1]);
        played.Print();
        return played;
    }

    private static Task<HabitResult> PlayAsync(
        Func<ConnectionContext, HabitPlay, Task> handler, Func<HabitPlay, Task> script, bool isStock = false)
    {
        var play = new HabitPlay(isStock);
        return Habit.PlayAsync(play, handler, script, new HabitSetup
        {
            Before = endpoint => Use(endpoint, play),
            Options = TestServer.BecomeQuietSoon,
        });
    }
}
