using System.Diagnostics;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Load;

/// <summary>One large stream from one socket to another, with whatever relays between them: a thread that sends and a thread that receives, with blocking sockets.</summary>
internal static class StreamLoad
{
    private const int BufferBytes = 256 * 1024;

    private static readonly int StallLimitMilliseconds = (int)TimeSpan.FromSeconds(10).TotalMilliseconds;

    /// <summary>Sends, then half-closes; receives to the end, and compares every byte.</summary>
    /// <returns>The time from the first byte to the FIN.</returns>
    public static TimeSpan Run(Socket from, Socket to, long totalBytes)
    {
        from.SendTimeout = StallLimitMilliseconds;
        to.ReceiveTimeout = StallLimitMilliseconds;
        var started = Stopwatch.GetTimestamp();
        Exception? failure = null;
        var sender = new Thread(() =>
        {
            try
            {
                Send(from, totalBytes);
            }
            catch (SocketException exception)
            {
                failure = exception;
            }
        });
        sender.Start();
        long received;
        try
        {
            received = Receive(to);
        }
        finally
        {
            sender.Join();
        }

        var elapsed = Stopwatch.GetElapsedTime(started);
        return received == totalBytes && failure is null
            ? elapsed
            : throw new InvalidDataException($"Of {totalBytes} bytes {received} arrived.", failure);
    }

    private static void Send(Socket socket, long totalBytes)
    {
        for (var sent = 0L; sent < totalBytes;)
        {
            var bytes = StreamPattern.At(sent);
            sent += socket.Send(bytes[..(int)Math.Min(bytes.Length, totalBytes - sent)]);
        }

        socket.Shutdown(SocketShutdown.Send);
    }

    private static long Receive(Socket socket)
    {
        var buffer = new byte[BufferBytes];
        long total = 0;
        int received;
        while ((received = socket.Receive(buffer)) > 0)
        {
            StreamPattern.Verify(total, buffer.AsSpan(0, received));
            total += received;
        }

        return total;
    }
}
