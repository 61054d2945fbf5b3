using System.Net;

namespace GracefulConnections.FunctionalTests.Support;

/// <summary>Peers of an echo that send and receive without a pause, and must not notice anything of what happens to others.</summary>
internal sealed class EchoLoad : IAsyncDisposable
{
    private const int MessageBytes = 1000;

    private readonly ScriptedPeer[] _peers;
    private readonly Task[] _echoing;
    private readonly long[] _rounds;
    private volatile bool _isOver;

    private EchoLoad(ScriptedPeer[] peers)
    {
        _peers = peers;
        _rounds = new long[peers.Length];
        _echoing = [.. Enumerable.Range(0, peers.Length).Select(i => Task.Run(() => EchoAsync(i)))];
    }

    /// <summary>Connects the peers, and waits until each of them has been answered.</summary>
    public static async Task<EchoLoad> StartAsync(EndPoint endPoint, int peerCount)
    {
        var load = new EchoLoad(await Task.WhenAll(Enumerable.Range(0, peerCount).Select(_ => ScriptedPeer.ConnectAsync(endPoint))));
        await load.GoesOnAsync(1);
        return load;
    }

    public bool Has(TrackedConnectionInfo connection) => Array.Exists(_peers, peer => peer.IsPeerOf(connection));

    /// <summary>Waits until every peer was answered so many more times, or one has failed.</summary>
    public async Task GoesOnAsync(int rounds = 100)
    {
        long[] before = [.. _rounds];
        await Eventually.IsTrueAsync(() => HasFailed() || Enumerable.Range(0, before.Length).All(i => Volatile.Read(ref _rounds[i]) >= before[i] + rounds));
        await Task.WhenAll(_echoing.Where(static echoing => echoing.IsCompleted)); // What the first one that failed saw.
    }

    /// <summary>Ends the load.</summary>
    /// <exception cref="Exception">What the first peer that failed saw.</exception>
    public async Task StopAsync()
    {
        _isOver = true;
        await Task.WhenAll(_echoing).WaitAsync(TestServer.TestLimit);
    }

    public async ValueTask DisposeAsync()
    {
        _isOver = true;
        await Task.WhenAll(_echoing).WaitAsync(TestServer.TestLimit).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // A test that failed has its own exception.
        foreach (var peer in _peers)
        {
            await peer.DisposeAsync();
        }
    }

    private bool HasFailed() => Array.Exists(_echoing, static echoing => echoing.IsCompleted);

    private async Task EchoAsync(int index)
    {
        var message = new byte[MessageBytes];
        for (var round = 0; !_isOver; round++)
        {
            Array.Fill(message, (byte)(round % PoisoningMemoryPool.PoisonByte)); // Never that byte.
            await _peers[index].SendAsync(message);
            Assert.Equal(message, await _peers[index].ReadExactlyAsync(MessageBytes));
            Volatile.Write(ref _rounds[index], round + 1);
        }
    }
}
