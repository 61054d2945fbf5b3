namespace GracefulConnections;

/// <summary>How <c>RelayAsync</c> relays. May be shared by any number of relays.</summary>
public class RelayOptions
{
    internal const int LeastBufferedBytes = 4096;

    /// <summary>
    /// Gets or sets the most bytes of one direction that are on their way from the one connection to the other, beyond
    /// what the two kernels and the transport's own reader hold. A peer that reads slowly slows its sender down and
    /// costs no more memory than this. Defaults to 128 KiB.
    /// </summary>
    /// <value>4096 bytes or more.</value>
    public int MaxBufferedBytes { get; set; } = 128 * 1024;

    /// <summary>
    /// Gets or sets what counts while the relays run. <see langword="null"/>, the default, counts nothing beyond each
    /// relay's own result.
    /// </summary>
    public RelayCounters? Counters { get; set; }
}
