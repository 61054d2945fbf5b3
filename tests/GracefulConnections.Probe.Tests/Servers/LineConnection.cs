using System.Net.Security;
using System.Net.Sockets;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.Probe.Tests.Servers;

/// <summary>One connection of a <see cref="LineServer"/>.</summary>
internal sealed class LineConnection : IAsyncDisposable
{
    private const int FewBytes = 2000; // One request at a time is answered at once, whatever the fault is.
    private static readonly TimeSpan Linger = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Silence = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan SendLimit = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(4);

    private readonly Socket _socket;
    private readonly Stream _stream;
    private readonly ServerFault _fault;
    private readonly CancellationToken _stop;
    private readonly byte[] _buffer = new byte[256 * 1024];
    private readonly MemoryStream _owed = new();
    private byte[] _rest = [];

    private LineConnection(Socket socket, Stream stream, ServerFault fault, CancellationToken stop)
    {
        _socket = socket;
        _stream = stream;
        _fault = fault;
        _stop = stop;
    }

    public static async Task<LineConnection> AcceptAsync(Socket socket, ServerFault fault, bool tls, CancellationToken stop)
    {
        Stream stream = new NetworkStream(socket, ownsSocket: false);
        if (tls)
        {
            var secure = new SslStream(stream);
            await secure.AuthenticateAsServerAsync(
                new SslServerAuthenticationOptions { ServerCertificate = TestCertificate.Server }, stop);
            stream = secure;
        }

        return new LineConnection(socket, stream, fault, stop);
    }

    public async Task ServeAsync()
    {
        var hasQuit = false;
        while (!hasQuit)
        {
            var read = await ReadAsync();
            if (read == 0)
            {
                break;
            }

            hasQuit = Take(_buffer.AsSpan(0, read));
            if (_fault != ServerFault.DropsRepliesAtFin || _owed.Length < FewBytes)
            {
                await SendAsync(_owed.ToArray());
                _owed.SetLength(0);
            }
        }

        if (!hasQuit && _fault == ServerFault.ExecutesHalfAtFin && _rest.Length > 0)
        {
            await SendAsync([.. _rest, (byte)'\n']);
        }

        await SendAsync(_owed.ToArray()[..(int)(_owed.Length / 2)]); // Of DropsRepliesAtFin; all others owe nothing.
        await EndAsync();
    }

    public ValueTask DisposeAsync() => _stream.DisposeAsync();

    private async Task<int> ReadAsync()
    {
        if (_fault != ServerFault.ExecutesHalfAtSilence || _rest.Length == 0)
        {
            return await _stream.ReadAsync(_buffer, _stop);
        }

        var pending = _stream.ReadAsync(_buffer, _stop).AsTask();
        try
        {
            return await pending.WaitAsync(Silence);
        }
        catch (TimeoutException)
        {
            await SendAsync([.. _rest, (byte)'\n']);
            _rest = [];
            return await pending;
        }
    }

    private bool Take(ReadOnlySpan<byte> bytes)
    {
        byte[] all = [.. _rest, .. bytes];
        var start = 0;
        while (Array.IndexOf(all, (byte)'\n', start) is var end and >= 0)
        {
            var line = all.AsSpan(start, end + 1 - start);
            start = end + 1;
            if (line.TrimEnd("\r\n"u8).SequenceEqual("quit"u8))
            {
                return true;
            }

            _owed.Write(line);
        }

        _rest = all[start..];
        return false;
    }

    private async Task SendAsync(byte[] bytes)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop);
        if (_fault == ServerFault.GivesUpSlowPeers)
        {
            limit.CancelAfter(SendLimit);
        }

        try
        {
            await _stream.WriteAsync(bytes, limit.Token);
        }
        catch (OperationCanceledException) when (!_stop.IsCancellationRequested)
        {
            _socket.Close(0);
            throw;
        }
    }

    private async Task EndAsync()
    {
        switch (_fault)
        {
            case ServerFault.ClosesAtOnce:
                _socket.Dispose(); // Not Close(0): the kernel resets only because of unread bytes.
                return;
            case ServerFault.ResetsAtEnd:
                _socket.Close(0);
                return;
        }

        if (_stream is SslStream secure && _fault != ServerFault.SaysNoCloseNotify)
        {
            await secure.ShutdownAsync();
            if (_fault == ServerFault.AwaitsCloseNotify)
            {
                await AwaitCloseNotifyAsync(secure);
            }
        }

        _socket.Shutdown(SocketShutdown.Send);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop);
        limit.CancelAfter(_fault == ServerFault.CountsFromItsClose ? CloseLimit : Timeout.InfiniteTimeSpan);
        await DiscardAsync(limit);
    }

    private async Task AwaitCloseNotifyAsync(SslStream secure)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop);
        do
        {
            limit.CancelAfter(Linger);
        }
        while (await secure.ReadAsync(_buffer, limit.Token) > 0);
    }

    private async Task DiscardAsync(CancellationTokenSource limit)
    {
        try
        {
            do
            {
                if (_fault is not (ServerFault.HoldsForEver or ServerFault.CountsFromItsClose))
                {
                    limit.CancelAfter(Linger);
                }
            }
            while (await _socket.ReceiveAsync(_buffer, limit.Token) > 0);
        }
        catch (OperationCanceledException) when (_fault == ServerFault.CountsFromItsClose)
        {
            _socket.Close(0);
        }
    }
}
