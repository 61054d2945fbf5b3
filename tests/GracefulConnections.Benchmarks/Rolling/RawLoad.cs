using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Benchmarks.Rolling;

/// <summary>
/// A peer of the raw protocol, which keeps its connection. When that ends before the first byte of a reply, it sends
/// the request again on a new one, as every client of such a protocol does.
/// </summary>
internal sealed class RawLoad(IPEndPoint server, RequestTally tally) : IDisposable
{
    private const int MostTries = 20;

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly byte[] _request = new byte[RollingPlan.RequestBytes];
    private readonly byte[] _reply = new byte[RollingPlan.ReplyBytes];
    private Socket? _socket;

    public async Task RunAsync(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            await RequestAsync();
            await Task.Delay(RollingPlan.LongestPause * Random.Shared.NextDouble(), CancellationToken.None);
        }
    }

    public void Dispose() => _socket?.Dispose();

    private async Task RequestAsync()
    {
        for (var tries = 1; tries <= MostTries; tries++)
        {
            var received = await TryAsync();
            if (received == RollingPlan.ReplyBytes)
            {
                tally.Succeed();
                return;
            }

            Dispose();
            _socket = null;
            if (received > 0)
            {
                tally.Fail("ended in the middle of a reply");
                return;
            }

            tally.TryAgain();
        }

        tally.Fail($"without a reply in {MostTries} tries");
    }

    /// <summary>Sends the request, and returns how many bytes of the reply came before the end.</summary>
    private async Task<int> TryAsync()
    {
        using var limit = new CancellationTokenSource(Limit);
        var received = 0;
        try
        {
            if (_socket is null)
            {
                _socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                await _socket.ConnectAsync(server, limit.Token);
            }

            await _socket.SendAsync(_request, limit.Token);
            while (received < RollingPlan.ReplyBytes
                && await _socket.ReceiveAsync(_reply.AsMemory(received), limit.Token) is > 0 and var more)
            {
                received += more;
            }
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            return received; // A reset is an end as well, and so is silence.
        }

        return received;
    }
}
