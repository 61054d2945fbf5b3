using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>
/// Code that is cleaned up by <c>ConnectionClosed</c>: it fires behind the handler's last byte, also when the peer keeps
/// its side open.
/// </summary>
public class ClosedTokenTests
{
    private const string Closed = "closed";
    private const string PeerReads = "the peer reads";
    private const string PeerEnds = "the peer ends";

    // A timer that such a token stops would go on, and throw where nobody catches anything.
    [Theory]
    [InlineData("")]
    [InlineData(nameof(HabitWire.Unix))]
    [InlineData(nameof(TlsPlacement.Outside))]
    [InlineData(nameof(TlsPlacement.Inside))]
    [InlineData(nameof(GracefulCloseOptions.AllowHalfOpen))]
    public async Task HandlerReturns_PeerKeepsItsSideOpen_FiresAtOnce(string kind)
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                NoteClosed(connection, play);
                await connection.SendAsync(5);
            },
            PeerEndsBehindAsync,
            SetupFor(kind));

        AssertClosedFirst(played);
    }

    // As frameworks get it.
    [Fact]
    public async Task HandlerReturns_TokenOfTheFeature_FiresAtOnce()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                connection.Features.Get<IConnectionLifetimeFeature>()!.ConnectionClosed.Register(() => play.Note(Closed));
                await connection.SendAsync(5);
            },
            PeerEndsBehindAsync);

        AssertClosedFirst(played);
    }

    // FIN is in the kernel long before the return.
    [Fact]
    public async Task HandlerCompletesItsOutput_ThenReturns_FiresAtOnce()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                NoteClosed(connection, play);
                await connection.ReadExactlyAsync(1);
                await connection.SendAsync(5);
                await connection.Transport.Output.CompleteAsync();
                await play.Peer.EndedAsync(); // It has seen FIN.
            },
            static async play =>
            {
                await play.Peer.SendAsync("!");
                await PeerEndsBehindAsync(play);
            });

        AssertClosedFirst(played);
    }

    // FIN gets into the kernel long behind the return.
    [Fact]
    public async Task HandlerReturns_PeerIsSlow_FiresBehindTheLastByte()
    {
        const int replyBytes = 12_000_000; // More than the kernels on both sides take.
        var played = await Habit.CompareAsync(
            static (connection, play) =>
            {
                NoteClosed(connection, play);
                _ = connection.SendAsync(replyBytes);
                return Task.CompletedTask;
            },
            static async play =>
            {
                await play.Handled.InTimeAsync();
                play.Note(PeerReads);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
                await Eventually.IsTrueAsync(() => play.Executed.Count == 2);
                play.Note(PeerEnds);
                play.Peer.HalfClose();
            },
            new HabitSetup { ReadsAtOnce = false });

        played.Print();
        Assert.Equal([PeerReads, Closed, PeerEnds], played.Stock.Executed);
        Assert.Equal([PeerReads, Closed, PeerEnds], played.Ours.Executed);
        Assert.Equal((replyBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
    }

    // The handler waits for it, so that nothing else would ever end the connection.
    [Fact]
    public async Task Disposed_HandlerWaitsForIt_Ends()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                connection.ConnectionClosed.Register(closed.SetResult);
                await connection.SendAsync(5);
                var disposing = connection.DisposeAsync().AsTask();
                await closed.Task;
                play.Note(Closed);
                await disposing;
            },
            PeerEndsBehindAsync);

        AssertClosedFirst(played);
    }

    // While the handler runs, the peer's end is what it was: the token says so.
    [Fact]
    public async Task PeerEnds_HandlerRuns_FiresAsOnStock()
    {
        var played = await Habit.CompareAsync(
            static async (connection, play) =>
            {
                var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                connection.ConnectionClosed.Register(closed.SetResult);
                await closed.Task;
                play.Note(Closed);
            },
            static async play =>
            {
                play.Note(PeerEnds);
                play.Peer.HalfClose();
                await play.Handled.InTimeAsync();
            });

        played.Print();
        Assert.Equal([PeerEnds, Closed], played.Stock.Executed);
        Assert.Equal([PeerEnds, Closed], played.Ours.Executed);
    }

    private static void NoteClosed(ConnectionContext connection, HabitPlay play) =>
        connection.ConnectionClosed.Register(() => play.Note(Closed));

    private static async Task PeerEndsBehindAsync(HabitPlay play)
    {
        await Eventually.IsTrueAsync(() => play.Executed.Any()); // Its handler has ended by then.
        play.Note(PeerEnds);
        play.Peer.HalfClose();
        await play.Peer.EndedAsync();
    }

    private static void AssertClosedFirst(HabitComparison played)
    {
        played.Print();
        Assert.Equal([Closed, PeerEnds], played.Stock.Executed);
        Assert.Equal([Closed, PeerEnds], played.Ours.Executed);
        Assert.Equal(CloseOutcome.Graceful, played.Ours.Close!.Value.Outcome);
        Assert.Empty(played.Ours.Errors);
    }

    private static HabitSetup SetupFor(string kind) => kind switch
    {
        "" => new HabitSetup(),
        nameof(HabitWire.Unix) => new HabitSetup { Wire = HabitWire.Unix },
        nameof(GracefulCloseOptions.AllowHalfOpen) => new HabitSetup
        {
            Options = static options => options.AllowHalfOpen = true,
        },
        _ => new HabitSetup
        {
            Before = kind == nameof(TlsPlacement.Inside)
                ? static endpoint => endpoint.UseHttps(TestCertificate.Server)
                : null,
            Behind = kind == nameof(TlsPlacement.Outside)
                ? static endpoint => endpoint.UseHttps(TestCertificate.Server)
                : null,
            Greet = HeldTls.GreetAsync,
            ReadsAtOnce = false,
        },
    };
}
