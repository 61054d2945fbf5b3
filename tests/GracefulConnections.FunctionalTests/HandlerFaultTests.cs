using System.IO.Pipelines;
using GracefulConnections.FunctionalTests.Support;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests;

/// <summary>Handlers that fail, and handlers that use a connection after its end.</summary>
public class HandlerFaultTests
{
    private const int FlushedBytes = 1000;
    private const int UnflushedBytes = 500;

    [Fact]
    public async Task Throw_AfterWriting_DeliversFlushedAndUnflushedThenFin()
    {
        await using var server = await TestServer.StartAsync(WriteThenThrowAsync);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);

        Assert.Equal((FlushedBytes + UnflushedBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerFaulted, CloseOutcome.Graceful, 0),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Throw_AbortOnHandlerFault_DeliversFlushedAndUnflushedThenRst()
    {
        await using var server = await TestServer.StartAsync(
            WriteThenThrowAsync, options => options.AbortOnHandlerFault = true);
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);

        Assert.Equal((FlushedBytes + UnflushedBytes, PeerSaw.Reset), await peer.ReadToEndAsync());
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerFaulted, CloseOutcome.Aborted, 0),
            (result.Reason, result.Outcome, result.UnacknowledgedBytes));
    }

    [Fact]
    public async Task Return_WithUnflushedBytes_SendsThem()
    {
        await using var server = await TestServer.StartAsync(connection =>
        {
            WriteWithoutFlush(connection);
            return Task.CompletedTask;
        });
        await using var peer = await server.ConnectAsync();

        Assert.Equal((UnflushedBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
    }

    [Fact]
    public async Task CompleteWithException_WhileTheHandlerGoesOn_Resets()
    {
        var peerIsDone = new TaskCompletionSource();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await connection.ReadExactlyAsync(1);
            await connection.Transport.Output.CompleteAsync(new InvalidOperationException("The handler's own."));
            await peerIsDone.Task.InTimeAsync();
        });
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[1]);

        Assert.Equal((0, PeerSaw.Reset), await peer.ReadToEndAsync());
        peerIsDone.SetResult();
        var result = await server.NextResultAsync();
        Assert.Equal(
            (CloseReason.HandlerFaulted, CloseOutcome.Aborted, TimeSpan.Zero),
            (result.Reason, result.Outcome, result.Duration));
    }

    [Fact]
    public async Task Write_AfterCompletedOutput_ThrowsAndTheConnectionEndsWell()
    {
        var exceptions = new TaskCompletionSource<Exception?[]>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var output = connection.Transport.Output;
            await connection.SendAsync(FlushedBytes);
            await output.CompleteAsync();
            exceptions.SetResult(
            [
                await Record.ExceptionAsync(() => connection.SendAsync(1)),
                Record.Exception(() => output.GetMemory()),
                Record.Exception(() => output.GetSpan().Length),
                Record.Exception(() => output.Advance(1)),
            ]);
        });
        await using var peer = await server.ConnectAsync();

        Assert.Equal((FlushedBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        Assert.All(
            await exceptions.Task.InTimeAsync(),
            exception => Assert.Contains(
                "Output.Complete()", Assert.IsType<InvalidOperationException>(exception).Message));
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    [Fact]
    public async Task Read_AfterCompletedInput_ThrowsAndWhatArrivesIsDiscarded()
    {
        const int uploadBytes = 200_000;
        var exceptions = new TaskCompletionSource<Exception?[]>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            var input = connection.Transport.Input;
            await input.CompleteAsync();
            exceptions.SetResult(
                [await Record.ExceptionAsync(() => connection.ReadToEndAsync()),
                Record.Exception(() => input.TryRead(out _))]);
            await connection.SendAsync(FlushedBytes);
        });
        await using var peer = await server.ConnectAsync();
        await peer.SendAsync(new byte[uploadBytes]);
        peer.HalfClose();

        Assert.Equal((FlushedBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        Assert.All(
            await exceptions.Task.InTimeAsync(), exception => Assert.IsType<InvalidOperationException>(exception));
        var result = await server.NextResultAsync();
        Assert.Equal((CloseOutcome.Graceful, uploadBytes), (result.Outcome, result.DiscardedBytes));
    }

    [Fact]
    public async Task Use_OfAKeptReferenceAfterTheClose_Throws()
    {
        var kept = new TaskCompletionSource<IDuplexPipe>();
        await using var server = await TestServer.StartAsync(async connection =>
        {
            await connection.SendAsync(FlushedBytes);
            kept.SetResult(connection.Transport);
        });
        await using var peer = await server.ConnectAsync();
        Assert.Equal((FlushedBytes, PeerSaw.Eof), await peer.ReadToEndAsync());
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);

        var transport = await kept.Task.InTimeAsync();
        Assert.True((await transport.Output.FlushAsync(TestContext.Current.CancellationToken).AsTask().InTimeAsync()).IsCompleted); // Which loses nothing.
        Assert.All(await UseAsync(transport), exception => Assert.IsType<ObjectDisposedException>(exception));
    }

    [Fact]
    public async Task Read_StillPendingWhenTheHandlerReturns_IsCancelled()
    {
        var pending = new TaskCompletionSource<Task<ReadResult>>();
        await using var server = await TestServer.StartAsync(connection =>
        {
            pending.SetResult(connection.Transport.Input.ReadAsync().AsTask());
            return Task.CompletedTask;
        });
        await using var peer = await server.ConnectAsync();
        Assert.Equal((0, PeerSaw.Eof), await peer.ReadToEndAsync());

        var read = await pending.Task.InTimeAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => read.InTimeAsync());
        Assert.True(read.IsCanceled); // Not faulted, so that nobody must observe it.
        peer.HalfClose();
        Assert.Equal(CloseOutcome.Graceful, (await server.NextResultAsync()).Outcome);
    }

    private static async Task WriteThenThrowAsync(ConnectionContext connection)
    {
        await connection.SendAsync(FlushedBytes);
        WriteWithoutFlush(connection);
        await connection.ReadExactlyAsync(1);
        throw new InvalidOperationException("The handler's own.");
    }

    private static void WriteWithoutFlush(ConnectionContext connection)
    {
        connection.Transport.Output.GetMemory(UnflushedBytes);
        connection.Transport.Output.Advance(UnflushedBytes);
    }

    private static async Task<IEnumerable<Exception?>> UseAsync(IDuplexPipe transport) =>
    [
        Record.Exception(() => transport.Output.GetMemory()),
        Record.Exception(() => transport.Output.GetSpan().Length),
        Record.Exception(() => transport.Output.Advance(1)),
        await Record.ExceptionAsync(async () => await transport.Output.WriteAsync(new byte[1])),
        await Record.ExceptionAsync(async () => await transport.Input.ReadAsync()),
        Record.Exception(() => transport.Input.TryRead(out _)),
    ];
}
