namespace RespServer.Protocol;

/// <summary>What clients may ask for. Each of these is memory that somebody who is not authenticated can make us hold.</summary>
internal static class Limits
{
    /// <summary>The most connections. As in Redis.</summary>
    public const int MaxClients = 10_000;

    /// <summary>The most arguments of a command, its name included: an MSET of 511 pairs. Redis takes a million.</summary>
    public const int MaxArguments = 1024;

    /// <summary>The longest key or value. Redis takes 512 MiB.</summary>
    public const int MaxBulkBytes = 1024 * 1024;

    /// <summary>The longest command. Without it, <see cref="MaxArguments"/> times <see cref="MaxBulkBytes"/> would be buffered: a gigabyte.</summary>
    public const int MaxRequestBytes = 4 * 1024 * 1024;

    /// <summary>The longest command that is typed as a line. As in Redis.</summary>
    public const int MaxInlineBytes = 64 * 1024;

    /// <summary>All keys and values together, with what the dictionary needs for them. Enough to try things, too little to hurt the machine.</summary>
    public const long MaxStoreBytes = 64 * 1024 * 1024;

    /// <summary>The size of replies from which they are flushed, although more commands are waiting: Kestrel's own threshold for backpressure.</summary>
    public const int FlushBytes = 64 * 1024;

    /// <summary>The longest DEBUG SLEEP.</summary>
    public static readonly TimeSpan MaxSleep = TimeSpan.FromSeconds(60);
}
