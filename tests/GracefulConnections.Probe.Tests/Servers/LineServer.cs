using System.Net;
using System.Net.Sockets;

namespace GracefulConnections.Probe.Tests.Servers;

/// <summary>
/// A server on plain sockets that answers each line by the same line, and ends the connection behind "quit". It ends
/// connections well: FIN, then reading until the peer's FIN or 2 s of silence, unless it has a fault.
/// </summary>
internal sealed class LineServer : IAsyncDisposable
{
    private const int Backlog = 512;

    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly CancellationTokenSource _stop = new();
    private readonly ServerFault _fault;
    private readonly bool _tls;
    private readonly Task _accepting;

    public LineServer(ServerFault fault, bool tls = false)
    {
        _fault = fault;
        _tls = tls;
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(Backlog);
        _accepting = AcceptAsync();
    }

    public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Dispose();
        await _accepting.WaitAsync(TimeSpan.FromSeconds(30));
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        var serving = new List<Task>();
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                serving.Add(ServeAsync(await _listener.AcceptAsync(_stop.Token)));
            }
        }
        catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(serving); // The test is over, or the fault is to die.
        }
    }

    private async Task ServeAsync(Socket socket)
    {
        using (socket)
        {
            try
            {
                if (_fault == ServerFault.CountsFromItsClose)
                {
                    socket.SendBufferSize = 4 * 1024 * 1024; // All replies are in the kernel when the close begins.
                }

                socket.SetSocketOption(
                    SocketOptionLevel.Socket, SocketOptionName.OutOfBandInline, _fault == ServerFault.ReadsUrgentInline);
                await using var connection = await LineConnection.AcceptAsync(socket, _fault, _tls, _stop.Token);
                await connection.ServeAsync();
            }
            catch (Exception exception) when (exception is IOException or SocketException or OperationCanceledException)
            {
                if (_fault == ServerFault.DiesOfReset && !_stop.IsCancellationRequested)
                {
                    await _stop.CancelAsync();
                    _listener.Dispose();
                }
            }
        }
    }
}
