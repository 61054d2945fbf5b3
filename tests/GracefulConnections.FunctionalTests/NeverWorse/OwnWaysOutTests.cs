using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.IO.Pipelines;
using GracefulConnections.FunctionalTests.Habits.Support;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.FunctionalTests.NeverWorse;

/// <summary>Handlers that end a connection, or send, by another way than the library's.</summary>
public class OwnWaysOutTests
{
    private const int FileBytes = 3_000_000;

    // Kestrel sends nothing after this, and the kernel goes on.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Dispose_BytesWereWritten_ArriveAsBehindAReturn(bool isFlushed)
    {
        const int writtenBytes = 60_000;
        var played = await Habit.CompareAsync(
            async (connection, _) =>
            {
                await using (connection)
                {
                    connection.Transport.Output.Write(new byte[writtenBytes]);
                    if (isFlushed)
                    {
                        await connection.Transport.Output.FlushAsync();
                    }
                }
            },
            static async play =>
            {
                await Pace.PauseAsync(Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { ReadsAtOnce = false, Socket = static socket => socket.ReceiveBufferSize = 16 * 1024 });

        played.Print();
        Assert.Equal((writtenBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((writtenBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        AssertWhole(played.Ours);
    }

    // Stock has closed its socket by then, so that an abort of it does nothing any more.
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Abort_BehindTheCompletedOutput_TakesNothingBack(bool byFeature)
    {
        const int writtenBytes = 60_000;
        var played = await Habit.CompareAsync(
            async (connection, _) =>
            {
                await connection.Transport.Output.WriteAsync(new byte[writtenBytes]);
                await connection.Transport.Output.CompleteAsync();
                await Pace.PauseAsync(Pace.HalfMessage);
                if (byFeature)
                {
                    connection.Features.Get<IConnectionLifetimeFeature>()!.Abort();
                }
                else
                {
                    connection.Abort(new ConnectionAbortedException("The session is over."));
                }
            },
            static async play =>
            {
                await Pace.PauseAsync(3 * Pace.HalfMessage);
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { ReadsAtOnce = false, Socket = static socket => socket.ReceiveBufferSize = 4 * 1024 });

        played.Print();
        Assert.Equal((writtenBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((writtenBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
        Assert.Equal(CloseOutcome.Aborted, played.Ours.Close!.Value.Outcome); // It tells what was delivered by then.
        Assert.InRange(played.Ours.Close.Value.UnacknowledgedBytes!.Value, 1, writtenBytes);
        Assert.Empty(played.Ours.Errors);
    }

    // The file goes straight to the socket: nothing of it passes through a writer of ours.
    [Fact]
    public async Task SendFile_BehindAHeadByTheWriter_ArrivesWhole()
    {
        const string head = "file\n";
        var path = Path.Combine(Path.GetTempPath(), $"graceful-{Guid.NewGuid():N}");
        await File.WriteAllBytesAsync(path, new byte[FileBytes], TestContext.Current.CancellationToken);
        try
        {
            var played = await Habit.CompareAsync(
                async (connection, _) =>
                {
                    await connection.Transport.Output.WriteAsync("file\n"u8.ToArray());
                    await connection.ReadExactlyAsync(1); // The head has arrived: nothing else may order the two.
                    await connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendFileAsync(path);
                },
                static async play =>
                {
                    await play.Peer.Socket.ReceiveAsync(new byte[head.Length]).InTimeAsync();
                    await play.Peer.SendAsync("!");
                    await Pace.PauseAsync(TimeSpan.FromSeconds(2));
                    play.Peer.StartReading();
                    await play.Peer.EndedAsync();
                },
                new HabitSetup
                {
                    ReadsAtOnce = false,
                    Socket = static socket => socket.ReceiveBufferSize = 64 * 1024,
                    Options = static options => options.LingerIdleTimeout = TimeSpan.FromSeconds(1),
                });

            played.Print();
            Assert.Equal((FileBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
            Assert.Equal((FileBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
            AssertWhole(played.Ours);
        }
        finally
        {
            File.Delete(path);
        }
    }

    // Longer than every limit of a close that counts silence. A limit is not an abort: the kernel goes on delivering.
    [Fact]
    public async Task Return_PeerPausesForLongerThanTheLimits_EverythingArrives()
    {
        var played = await Habit.CompareAsync(
            static (connection, _) => connection.SendAsync(FileBytes),
            static async play =>
            {
                await Pace.PauseAsync(TimeSpan.FromSeconds(13));
                play.Peer.StartReading();
                await play.Peer.EndedAsync();
            },
            new HabitSetup { ReadsAtOnce = false });

        played.Print();
        Assert.Equal((FileBytes, PeerSaw.Eof), (played.Stock.Received.Length, played.Stock.End));
        Assert.Equal((FileBytes, PeerSaw.Eof), (played.Ours.Received.Length, played.Ours.End));
    }

    // A handler that writes until it is told to stop must be told, also when it has nothing to write at the moment.
    [Fact]
    public async Task Flush_NothingIsWrittenBehindAnAbort_SaysThatItIsOver()
    {
        var results = new ConcurrentDictionary<bool, FlushResult>();
        await Habit.CompareAsync(
            async (connection, play) =>
            {
                await connection.ReadExactlyAsync(1); // The peer's connect has ended: RST would fail it.
                connection.Abort();
                FlushResult result;
                var since = Stopwatch.GetTimestamp();
                do
                {
                    await Task.Yield();
                    result = await connection.Transport.Output.FlushAsync();
                }
                while (!result.IsCompleted && Stopwatch.GetElapsedTime(since) < TimeSpan.FromSeconds(5));
                results[play.IsStock] = result;
            },
            static async play =>
            {
                await play.Peer.SendAsync("!");
                await play.Peer.EndedAsync();
            });

        Assert.True(results[true].IsCompleted);
        Assert.True(results[false].IsCompleted);
    }

    [Fact]
    public async Task Flush_BehindTheCompletionWithACancelledToken_IsCancelled()
    {
        var faults = new ConcurrentDictionary<bool, Exception>();
        await Habit.CompareAsync(
            async (connection, play) =>
            {
                await connection.Transport.Output.CompleteAsync();
                faults[play.IsStock] = (await Record.ExceptionAsync(
                    async () => await connection.Transport.Output.FlushAsync(new CancellationToken(canceled: true))))!;
            },
            static async play => await play.Peer.EndedAsync());

        Assert.IsType<TaskCanceledException>(faults[true]);
        Assert.IsType<TaskCanceledException>(faults[false]);
    }

    private static void AssertWhole(HabitResult ours)
    {
        Assert.Equal(CloseOutcome.Graceful, ours.Close!.Value.Outcome);
        Assert.True(ours.Close.Value.UnacknowledgedBytes is 0 or null);
        Assert.Empty(ours.Errors);
    }
}
