using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>What handlers do, by the means that every handler has.</summary>
internal static class HandlerSteps
{
    public static IGracefulCloseFeature Graceful(this ConnectionContext connection) => connection.Features.Get<IGracefulCloseFeature>()!;

    /// <summary>Runs a handler that looks at no token on a connection that no endpoint accepted.</summary>
    public static Task<CloseResult> RunHandlerAsync(
        this ConnectionContext connection, Func<ConnectionContext, Task> handler, GracefulCloseOptions? options = null) =>
        connection.RunGracefullyAsync((connection, _) => handler(connection), options, null, CancellationToken.None);

    /// <summary>Writes so many bytes with one flush.</summary>
    public static async Task<FlushResult> SendAsync(this ConnectionContext connection, int count) => await connection.Transport.Output.WriteAsync(new byte[count]);

    /// <summary>Reads and throws away until the end of the input.</summary>
    /// <returns>The bytes read.</returns>
    public static async Task<long> ReadToEndAsync(this ConnectionContext connection)
    {
        long bytes = 0;
        while (true)
        {
            var result = await connection.Transport.Input.ReadAsync();
            bytes += result.Buffer.Length;
            connection.Transport.Input.AdvanceTo(result.Buffer.End);
            if (result.IsCompleted)
            {
                return bytes;
            }
        }
    }

    /// <summary>Reads so many bytes and no more.</summary>
    public static async Task ReadExactlyAsync(this ConnectionContext connection, int count)
    {
        var result = await connection.Transport.Input.ReadAtLeastAsync(count);
        Assert.True(result.Buffer.Length >= count, $"The input ended after {result.Buffer.Length} of {count} bytes.");
        connection.Transport.Input.AdvanceTo(result.Buffer.GetPosition(count));
    }

    /// <summary>
    /// Answers each message of a fixed size with as many bytes, as everyone writes it: looks at what there is and waits for the rest. A part of a message at the end of the input is an error.
    /// </summary>
    public static async Task ServeMessagesAsync(this ConnectionContext connection, int messageBytes, Action? onHalfRead = null)
    {
        while (true)
        {
            var result = await connection.Transport.Input.ReadAsync();
            if (result.Buffer.Length >= messageBytes)
            {
                connection.Transport.Input.AdvanceTo(result.Buffer.GetPosition(messageBytes));
                await connection.SendAsync(messageBytes);
                continue;
            }

            connection.Transport.Input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            if (result.IsCompleted)
            {
                Assert.True(result.Buffer.IsEmpty);
                return;
            }

            if (!result.Buffer.IsEmpty)
            {
                onHalfRead?.Invoke();
            }
        }
    }

    /// <summary>Sends back what arrives, until the end of the input. Knows nothing of closing.</summary>
    public static Task EchoAsync(ConnectionContext connection) => connection.Transport.Input.CopyToAsync(connection.Transport.Output);
}
