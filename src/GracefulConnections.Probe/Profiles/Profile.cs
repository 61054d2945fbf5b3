using System.Text.RegularExpressions;

namespace GracefulConnections.Probe.Profiles;

/// <summary>What the probe must know of a protocol.</summary>
internal sealed record Profile
{
    public required string Name { get; init; }

    /// <summary>Gets what the server says before anybody asks; <see langword="null"/> if it waits.</summary>
    public ReplyForm? Greeting { get; init; }

    /// <summary>Gets one whole message.</summary>
    public required byte[] Request { get; init; }

    /// <summary>Gets the form of the reply to it.</summary>
    public required ReplyForm Reply { get; init; }

    /// <summary>
    /// Gets the message after which the server itself ends the connection; <see langword="null"/> if none does.
    /// </summary>
    public byte[]? Ending { get; init; }

    /// <summary>Gets how a reply begins that refuses a message, where <see cref="Reply"/> does not know.</summary>
    public Regex? Refusal { get; init; }

    /// <summary>
    /// Gets how many bytes of <see cref="Request"/> are half a message; <see langword="null"/> if any byte is a whole
    /// one.
    /// </summary>
    public int? HalfBytes { get; init; }

    /// <summary>Gets the most requests that the probe sends without waiting for replies.</summary>
    public int MaxPipelined { get; init; } = 100_000;
}
