using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>Plays the handler of one connection, and keeps its books.</summary>
internal sealed class HandlerSide(HostilePlay play, ConnectionContext connection)
{
    private const int SmallBufferBytes = 16 * 1024;
    private const int HeldBytes = 100;
    private const int BackgroundPieces = 5;

    private readonly PipeWriter _output = connection.Transport.Output;
    private readonly IGracefulCloseFeature _close = connection.Features.Get<IGracefulCloseFeature>()!;

    public async Task RunAsync()
    {
        play.Serving(_close);
        try
        {
            if (play.Script.HasSmallBuffers)
            {
                connection.Features.Get<IConnectionSocketFeature>()!.Socket.SendBufferSize = SmallBufferBytes;
            }

            if (play.Script is { ReadsFirst: true, Handler: not HostileHandler.Echo })
            {
                await ReadAsync();
            }

            await ActAsync();
        }
        catch (Exception exception) when (IsBug(exception))
        {
            play.Fail($"The handler got {exception}");
        }
        finally
        {
            play.EndHandler();
        }
    }

    /// <summary>Says goodbye, where the script has one, and takes too long for it where the script says so.</summary>
    public static async ValueTask SayGoodbyeAsync(
        HostilePlay play, ConnectionContext connection, CancellationToken cancellationToken)
    {
        if (play.Script.Handler != HostileHandler.Goodbye)
        {
            return;
        }

        var bytes = play.Script.Writes[0];
        var output = connection.Transport.Output;
        play.GoodbyeBytes = bytes;
        Payload.At(play.AttemptedBytes, bytes).CopyTo(output.GetMemory(bytes));
        output.Advance(bytes);
        if (play.Script.IsOtherWay)
        {
            await Task.Delay(2 * HostileServer.GoodbyeTimeout, CancellationToken.None);
        }

        await output.FlushAsync(cancellationToken);
    }

    private async Task ActAsync()
    {
        switch (play.Script.Handler)
        {
            case HostileHandler.Echo:
                await EchoAsync();
                break;
            case HostileHandler.CompleteOutput:
                await WriteAllAsync(flushesLast: false);
                await _output.CompleteAsync();
                AcceptWhatIsBuffered();
                while (!play.Script.IsOtherWay && !await ReadAsync())
                {
                }

                return;
            case HostileHandler.FailOutput:
                await WriteAllAsync(flushesLast: play.Script.IsOtherWay);
                await _output.CompleteAsync(new InvalidTimeZoneException("The output's own fault."));
                return; // Else what was not flushed would count as taken.
            case HostileHandler.Throw:
                await WriteAllAsync(flushesLast: play.Script.IsOtherWay);
                AcceptWhatIsBuffered();
                throw new InvalidTimeZoneException("The handler's own fault.");
            case HostileHandler.TwoFlushes:
                await FlushTwiceAsync();
                return;
            case HostileHandler.HeldMemory:
                await WriteAllAsync(flushesLast: play.Script.IsOtherWay);
                play.Background = WriteToHeldMemoryAsync(_output.GetMemory(HeldBytes));
                break;
            case HostileHandler.Dispose:
                await WriteAllAsync(flushesLast: play.Script.IsOtherWay);
                AcceptWhatIsBuffered();
                await connection.DisposeAsync();
                return;
            case HostileHandler.Abort:
                await WriteAllAsync(flushesLast: play.Script.IsOtherWay);
                connection.Abort(new ConnectionAbortedException("The handler's own wish."));
                return;
            case HostileHandler.BackgroundWriter:
                play.Background = Task.Run(WriteInBackgroundAsync);
                if (play.Script.IsOtherWay)
                {
                    await Task.Delay(play.Script.RequestCloseAfter);
                }

                return;
            case HostileHandler.Goodbye:
                await WriteAllAsync(flushesLast: true);
                while (!await ReadAsync())
                {
                }

                return;
            default:
                await WriteAllAsync(flushesLast: false);
                break;
        }

        AcceptWhatIsBuffered();
    }

    private async Task EchoAsync()
    {
        while (true)
        {
            var read = await connection.Transport.Input.ReadAsync();
            CheckInput(read);
            foreach (var segment in read.Buffer)
            {
                _output.Write(segment.Span);
            }

            // The peer's bytes are those of the same positions of the handler's own stream.
            play.Attempt((int)read.Buffer.Length);
            play.Consume(read.Buffer.Length);
            connection.Transport.Input.AdvanceTo(read.Buffer.End);
            if (!await FlushAsync() || read.IsCompleted)
            {
                return;
            }
        }
    }

    private async Task<bool> ReadAsync()
    {
        var read = await connection.Transport.Input.ReadAsync();
        CheckInput(read);
        play.Consume(read.Buffer.Length);
        connection.Transport.Input.AdvanceTo(read.Buffer.End);
        return read.IsCompleted;
    }

    private void CheckInput(ReadResult read)
    {
        if (!Payload.IsAt(play.ConsumedBytes, read.Buffer))
        {
            play.Fail($"The handler read other bytes than were sent, somewhere after {play.ConsumedBytes}");
        }
    }

    private async Task WriteAllAsync(bool flushesLast)
    {
        for (var i = 0; i < play.Script.Writes.Length; i++)
        {
            Buffer(play.Script.Writes[i]);
            if ((i < play.Script.Writes.Length - 1 || flushesLast) && !await FlushAsync())
            {
                return;
            }
        }
    }

    private void Buffer(int bytes)
    {
        var position = play.AttemptedBytes;
        play.Attempt(bytes);
        _output.Write(Payload.At(position, bytes).Span);
    }

    private async Task<bool> FlushAsync()
    {
        if ((await _output.FlushAsync()).IsCompleted)
        {
            return false;
        }

        play.Accept();
        return true;
    }

    private void AcceptWhatIsBuffered()
    {
        if (!_close.Closed.IsCompleted)
        {
            play.Accept();
        }
    }

    private async Task FlushTwiceAsync()
    {
        Buffer(play.Script.Writes[0]);
        var first = FlushFirstAsync(play.AttemptedBytes);
        try
        {
            Buffer(play.Script.Writes[^1]);
            await _output.FlushAsync();
        }
        catch (InvalidOperationException)
        {
            // A pipe's writer may refuse the second.
        }
        finally
        {
            play.Background = first;
        }

        async Task FlushFirstAsync(long bytes)
        {
            try
            {
                if (!(await _output.FlushAsync()).IsCompleted)
                {
                    play.Accept(bytes);
                }
            }
            catch (Exception exception) when (!IsBug(exception))
            {
                // The connection ended, or the second flush ended this one.
            }
        }
    }

    private async Task WriteToHeldMemoryAsync(Memory<byte> held)
    {
        do
        {
            held.Span.Fill(Payload.Junk);
            await Task.Delay(TimeSpan.FromMilliseconds(5));
        }
        while (!_close.Closed.IsCompleted);
        held.Span.Fill(Payload.Junk);
    }

    private async Task WriteInBackgroundAsync()
    {
        try
        {
            for (var i = 0; i < BackgroundPieces; i++)
            {
                Buffer(play.Script.Writes[i % play.Script.Writes.Length]);
                if (!await FlushAsync())
                {
                    return;
                }

                await Task.Yield();
            }
        }
        catch (Exception exception) when (!IsBug(exception))
        {
            // The connection has ended.
        }
    }

    // What no use of a connection may lead to. InvalidTimeZoneException is the handler's own.
    private static bool IsBug(Exception exception) => exception
        is not (ConnectionResetException or ConnectionAbortedException or OperationCanceledException
            or InvalidOperationException or InvalidTimeZoneException);
}
