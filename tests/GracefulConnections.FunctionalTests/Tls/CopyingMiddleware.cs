using System.Buffers;
using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Tls;

/// <summary>A middleware that puts two pipes of its own in front of the transport, and copies from one to the other in its own time.</summary>
internal sealed class CopyingMiddleware(ConnectionDelegate next)
{
    public async Task OnConnectionAsync(ConnectionContext connection)
    {
        var transport = connection.Transport;
        var input = new Pipe();

        // A flush returns when it was passed on: before that the handler has answered nothing, as far as the library sees.
        var output = new Pipe(new PipeOptions(pauseWriterThreshold: 1, resumeWriterThreshold: 1));
        connection.Transport = new Pair(input.Reader, output.Writer);
        var reading = CopyInputAsync(transport.Input, input.Writer);
        var writing = CopyOutputAsync(output.Reader, transport.Output);
        try
        {
            await next(connection);
        }
        finally
        {
            await output.Writer.CompleteAsync();
            await writing;
            await input.Reader.CompleteAsync();
            transport.Input.CancelPendingRead();
            await reading;
            connection.Transport = transport;
        }
    }

    private static async Task CopyInputAsync(PipeReader transport, PipeWriter input) => await input.CompleteAsync(await CopyAsync(transport, input));

    private static async Task CopyOutputAsync(PipeReader output, PipeWriter transport) => await output.CompleteAsync(await CopyAsync(output, transport));

    /// <returns>What ended the connection; <see langword="null"/> at a regular end.</returns>
    private static async Task<Exception?> CopyAsync(PipeReader from, PipeWriter to)
    {
        try
        {
            while (true)
            {
                var read = await from.ReadAsync();
                foreach (var segment in read.Buffer)
                {
                    to.Write(segment.Span);
                }

                var flushed = await to.FlushAsync();
                from.AdvanceTo(read.Buffer.End);
                if (flushed.IsCompleted || read.IsCompleted || read.IsCanceled)
                {
                    return null;
                }
            }
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException or InvalidOperationException)
        {
            return exception;
        }
    }

    private sealed record Pair(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
