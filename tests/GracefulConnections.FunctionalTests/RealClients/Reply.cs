using System.Security.Cryptography;
using Microsoft.AspNetCore.Connections;

namespace GracefulConnections.FunctionalTests.RealClients;

/// <summary>What the servers of these tests send: bytes of which a lost, doubled or swapped one would show.</summary>
internal static class Reply
{
    public const int Length = 1_500_000; // More than a receive window, less than window and send buffer together: more would hide the loss.

    /// <summary>How many clients may try before stock Kestrel must have cut one reply short.</summary>
    public const int AttemptsToLose = 10;

    public static byte[] Bytes { get; } = Create();

    public static string Hash { get; } = Convert.ToHexStringLower(SHA256.HashData(Bytes));

    public static async Task SendAsync(ConnectionContext connection) => await connection.Transport.Output.WriteAsync(Bytes);

    /// <summary>Replies once the client has half-closed.</summary>
    public static async Task SendAtEndOfInputAsync(ConnectionContext connection)
    {
        await connection.Transport.Input.CopyToAsync(Stream.Null);
        await SendAsync(connection);
    }

    private static byte[] Create()
    {
        var bytes = new byte[Length];
        new Random(1).NextBytes(bytes);

        // Telnet, as curl speaks it, takes 255 for the beginning of a command, and 0 after 13 for padding.
        bytes.AsSpan().Replace((byte)255, (byte)1);
        bytes.AsSpan().Replace((byte)13, (byte)1);
        return bytes;
    }
}
