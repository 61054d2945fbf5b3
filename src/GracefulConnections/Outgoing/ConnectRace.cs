using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Outgoing;

/// <summary>
/// Connects to the first of several addresses that answers (RFC 8305, "Happy Eyeballs"): one is tried after another,
/// the next one when the last failed or had its time, and all of them go on until one has won.
/// </summary>
/// <param name="createSocket">Makes a socket for an address, ready to connect.</param>
/// <param name="attemptDelay">How long an attempt has before the next one begins beside it.</param>
/// <param name="time">The clock.</param>
internal sealed class ConnectRace(Func<EndPoint, Socket> createSocket, TimeSpan attemptDelay, TimeProvider time)
{
    private readonly List<Attempt> _attempts = [];

    /// <summary>Gets what was tried, and how it went, for the message of an exception.</summary>
    public string Story => string.Join("; ", _attempts.Select(attempt => attempt.ToString()));

    /// <summary>Puts the addresses into the order in which they are tried: the families take turns.</summary>
    public static IPAddress[] Order(IReadOnlyList<IPAddress> addresses)
    {
        if (addresses.Count < 2)
        {
            return [.. addresses];
        }

        var first = addresses.Where(address => address.AddressFamily == addresses[0].AddressFamily).ToArray();
        var second = addresses.Where(address => address.AddressFamily != addresses[0].AddressFamily).ToArray();
        var ordered = new List<IPAddress>(addresses.Count);
        for (var i = 0; i < Math.Max(first.Length, second.Length); i++)
        {
            ordered.AddRange(first.Skip(i).Take(1));
            ordered.AddRange(second.Skip(i).Take(1));
        }

        return [.. ordered];
    }

    /// <summary>Returns the socket that connected first. The others are closed.</summary>
    /// <exception cref="SocketException">None of them did. <see cref="Story"/> tells why.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public async Task<(Socket Socket, EndPoint Remote)> ConnectAsync(
        IReadOnlyList<EndPoint> endPoints, CancellationToken cancellationToken)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var next = 0;
        var running = new List<Task<Attempt>>();
        var last = SocketError.HostNotFound;
        try
        {
            while (next < endPoints.Count || running.Count > 0)
            {
                if (next < endPoints.Count)
                {
                    running.Add(TryAsync(endPoints[next++], over.Token));
                }

                var ended = await FirstAsync(running, next < endPoints.Count, over.Token).ConfigureAwait(false);
                if (ended is null)
                {
                    continue; // It had its time. The next one begins beside it.
                }

                running.Remove(ended);
                var attempt = await ended.ConfigureAwait(false);
                if (attempt.Socket is { } socket)
                {
                    return (socket, attempt.Remote); // Also when the time is up by now: nobody else closes it.
                }

                cancellationToken.ThrowIfCancellationRequested();
                last = attempt.Error ?? last;
            }
        }
        finally
        {
            await over.CancelAsync().ConfigureAwait(false);
            foreach (var loser in running)
            {
                (await loser.ConfigureAwait(false)).Socket?.Dispose(); // It connected as well: FIN.
            }
        }

        throw new SocketException((int)last);
    }

    private async Task<Attempt> TryAsync(EndPoint endPoint, CancellationToken cancellationToken)
    {
        var attempt = new Attempt(endPoint, time);
        _attempts.Add(attempt);
        Socket? socket = null;
        try
        {
            socket = createSocket(endPoint);
            await socket.ConnectAsync(endPoint, cancellationToken).ConfigureAwait(false);
            attempt.Socket = socket;
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException)
        {
            attempt.Fail(exception as SocketException);
            socket?.Dispose();
        }

        return attempt;
    }

    /// <returns>The attempt that ended first; <see langword="null"/> when the next one is due.</returns>
    private async Task<Task<Attempt>?> FirstAsync(
        List<Task<Attempt>> running, bool hasNext, CancellationToken cancellationToken)
    {
        if (!hasNext)
        {
            return await Task.WhenAny(running).ConfigureAwait(false);
        }

        using var decided = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var delay = Task.Delay(attemptDelay, time, decided.Token);
        var first = await Task.WhenAny([.. running, delay]).ConfigureAwait(false);
        await decided.CancelAsync().ConfigureAwait(false);
        var ended = first as Task<Attempt>;
        if (ended is null)
        {
            cancellationToken.ThrowIfCancellationRequested();
        }

        return ended;
    }

    private sealed class Attempt(EndPoint endPoint, TimeProvider time)
    {
        private readonly long _began = time.GetTimestamp();
        private TimeSpan _took;
        private string? _failure;

        public EndPoint Remote => endPoint;

        public Socket? Socket { get; set; }

        public SocketError? Error { get; private set; }

        public void Fail(SocketException? exception)
        {
            _took = time.GetElapsedTime(_began);
            Error = exception?.SocketErrorCode;
            _failure = exception?.Message ?? "no answer";
        }

        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture, $"{endPoint}: {_failure ?? "connected"} after {_took.TotalSeconds:0.000} s");
    }
}
