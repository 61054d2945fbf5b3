using System.Security.Cryptography;
using GracefulConnections.FunctionalTests.Samples.Support;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.FunctionalTests.Samples;

/// <summary>64 MiB each way through the sample <c>samples/TcpProxy</c>, both at the same time. The benchmarks have a gigabyte.</summary>
[Collection(SerialTests.Name)]
public sealed class TcpProxyVolumeTests
{
    private const long TotalBytes = 64L << 20;
    private const int BlockBytes = 1 << 20;

    [Fact]
    public async Task Relay_BothWaysAtOnce_ArrivesAsItWasSent()
    {
        await using var proxy = await TcpProxy.StartAsync();
        var (downstream, upstream) = await proxy.ConnectPairAsync();
        await using var _ = downstream;
        await using var __ = upstream;

        // On threads of their own: four hashes take as much as the relay.
        var received = Task.WhenAll(Task.Run(() => ReceiveAsync(upstream)), Task.Run(() => ReceiveAsync(downstream)));
        var sent = await Task.WhenAll(Task.Run(() => SendAsync(downstream, seed: 1)), Task.Run(() => SendAsync(upstream, seed: 2)));

        Assert.Equal(sent, await received);
        Assert.NotEqual(sent[0], sent[1]);
        Assert.Equal((CloseOutcome.Graceful, CloseOutcome.Graceful), await proxy.OutcomesAsync());
    }

    // Each block differs from the one before it, so that a lost, doubled or swapped one would show.
    private static async Task<string> SendAsync(ScriptedPeer peer, int seed)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var block = new byte[BlockBytes];
        new Random(seed).NextBytes(block);
        for (var sent = 0L; sent < TotalBytes; sent += BlockBytes)
        {
            BitConverter.TryWriteBytes(block, sent);
            hash.AppendData(block);
            await peer.SendAsync(block);
        }

        peer.HalfClose();
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static async Task<string> ReceiveAsync(ScriptedPeer peer)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var buffer = new byte[BlockBytes];
        int received;
        while ((received = await peer.ReceiveAsync(buffer)) > 0)
        {
            hash.AppendData(buffer.AsSpan(0, received));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
