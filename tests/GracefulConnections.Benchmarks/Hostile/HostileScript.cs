namespace GracefulConnections.Benchmarks.Hostile;

/// <summary>What happens on one connection: all of it follows from the run's seed and the connection's number.</summary>
internal sealed record HostileScript
{
    private const int LargestSmall = 200;
    private const int LargestUsual = 20_000;
    private const int LargestRare = 600_000;
    private const int MostWrites = 4;

    private static readonly int HandlerCount = Enum.GetValues<HostileHandler>().Length;
    private static readonly int PeerCount = Enum.GetValues<HostilePeer>().Length;

    public required int Index { get; init; }

    public required HostileHandler Handler { get; init; }

    public required HostilePeer Peer { get; init; }

    /// <summary>Gets which of the server's endpoints the peer connects to.</summary>
    public required int Endpoint { get; init; }

    /// <summary>Gets the sizes of what the handler writes.</summary>
    public required int[] Writes { get; init; }

    /// <summary>Gets how many bytes the peer sends by its own account.</summary>
    public required int RequestBytes { get; init; }

    /// <summary>Gets whether the kernels hold so little that sends have to wait, half done.</summary>
    public required bool HasSmallBuffers { get; init; }

    /// <summary>Gets whether the handler reads once before it does anything else.</summary>
    public required bool ReadsFirst { get; init; }

    /// <summary>Gets which of two ways the handler has.</summary>
    public required bool IsOtherWay { get; init; }

    /// <summary>Gets whether the peer keeps its side open once it has read everything.</summary>
    public required bool KeepsOpen { get; init; }

    /// <summary>Gets how long the peer is silent where it is.</summary>
    public required TimeSpan Pause { get; init; }

    /// <summary>Gets after what time a handler that waits for its peer is asked to close.</summary>
    public required TimeSpan RequestCloseAfter { get; init; }

    public static HostileScript Create(int seed, int index)
    {
        var random = new Random(unchecked((seed * 486_187_739) + index));
        return new HostileScript
        {
            Index = index,
            Handler = (HostileHandler)(index % HandlerCount), // Each with each, because neither count divides the other.
            Peer = (HostilePeer)(index % PeerCount),
            Endpoint = random.Next(HostileServer.EndpointCount),
            Writes = [.. Enumerable.Range(0, random.Next(1, MostWrites + 1)).Select(_ => Size(random))],
            RequestBytes = random.Next(4) == 0 ? random.Next(1, LargestUsual) : random.Next(1, LargestSmall),
            HasSmallBuffers = random.Next(4) == 0,
            ReadsFirst = random.Next(2) == 0,
            IsOtherWay = random.Next(2) == 0,
            KeepsOpen = random.Next(8) == 0,
            Pause = random.Next(4) == 0
                ? random.NextDouble() * 2 * HostileServer.StallTimeout
                : TimeSpan.FromMilliseconds(random.Next(20)),
            RequestCloseAfter = TimeSpan.FromMilliseconds(random.Next(60)),
        };
    }

    public override string ToString() =>
        $"{Handler}{(IsOtherWay ? " (other way)" : "")} x {Peer}{(KeepsOpen ? " (keeps open)" : "")}, endpoint {Endpoint}"
        + $"{(HasSmallBuffers ? ", small buffers" : "")}, {(ReadsFirst ? "reads first" : "writes at once")},"
        + $" writes {string.Join("+", Writes)}, request {RequestBytes}, pause {Pause.TotalMilliseconds:0} ms";

    private static int Size(Random random) => random.Next(50) switch
    {
        0 => random.Next(1, LargestRare),
        < 15 => random.Next(1, LargestUsual),
        _ => random.Next(1, LargestSmall),
    };
}
