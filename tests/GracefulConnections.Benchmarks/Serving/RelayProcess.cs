using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using GracefulConnections.Benchmarks.Load;
using GracefulConnections.FunctionalTests.Support;

namespace GracefulConnections.Benchmarks.Serving;

/// <summary>A relay in a process of its own, and what it relays to. Its directory and whatever it started end with it.</summary>
internal sealed class RelayProcess : IAsyncDisposable
{
    private const int StartAttempts = 3; // Its port was free a moment ago, and somebody else may have been faster.

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan StartInterval = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(10);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("graceful-relay-");
    private readonly RelayUpstream _upstream = new();
    private readonly Process _process;
    private readonly Task<string>[] _printed;
    private EchoLoad? _echoes;

    private RelayProcess(Variant variant)
    {
        Variant = variant;
        EndPoint = FindFreeEndPoint();
        try
        {
            var start = RelayCommand.Create(variant, _directory.FullName, EndPoint.Port, _upstream.Port);
            start.WorkingDirectory = _directory.FullName;
            start.RedirectStandardOutput = true;
            start.RedirectStandardError = true;
            _process = Process.Start(start)!;
        }
        catch
        {
            Release();
            throw;
        }

        _printed = [_process.StandardOutput.ReadToEndAsync(), _process.StandardError.ReadToEndAsync()];
    }

    public Variant Variant { get; }

    public IPEndPoint EndPoint { get; }

    /// <summary>Gets the peers of <see cref="ConnectEchoes"/>.</summary>
    public EchoLoad Echoes => _echoes!;

    /// <summary>Gets the processor time of all its processes so far.</summary>
    public TimeSpan Processor => ProcessorTime.OfTree(_process.Id);

    /// <summary>Gets the resident memory of all its processes.</summary>
    public double ResidentBytes => ResidentMemory.OfTree(_process.Id);

    /// <summary>Starts a relay, and returns once it relays.</summary>
    public static async Task<RelayProcess> StartAsync(Variant variant)
    {
        for (var attempt = 1; ; attempt++)
        {
            var relay = new RelayProcess(variant);
            try
            {
                await relay.WaitUntilItRelaysAsync();
                return relay;
            }
            catch (Exception exception)
            {
                await relay.DisposeAsync();
                if (exception is not (InvalidOperationException or TimeoutException) || attempt == StartAttempts)
                {
                    throw;
                }
            }
        }
    }

    /// <summary>Connects a peer, and accepts the connection that the relay makes for it.</summary>
    public (Socket Peer, Socket Upstream) ConnectPair()
    {
        var peer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            peer.Connect(EndPoint);
            return (peer, _upstream.Accept());
        }
        catch
        {
            peer.Dispose();
            throw;
        }
    }

    /// <summary>Connects peers whose messages come back from behind the relay, in place of those before.</summary>
    public void ConnectEchoes(int connections, int messageBytes)
    {
        _echoes?.Dispose();
        _echoes = new EchoLoad(EndPoint, connections, messageBytes);
        _upstream.StartEchoes(connections, messageBytes);
    }

    public async ValueTask DisposeAsync()
    {
        _echoes?.Dispose();
        if (!_process.HasExited)
        {
            Signal.Terminate(_process); // Not Kill: nginx' workers end by its word.
            using var limit = new CancellationTokenSource(EndLimit);
            try
            {
                await _process.WaitForExitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill(entireProcessTree: true);
            }
        }

        _process.Dispose();
        Release();
    }

    private static IPEndPoint FindFreeEndPoint()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return (IPEndPoint)socket.LocalEndPoint!;
    }

    private void Release()
    {
        _upstream.Dispose();
        _directory.Delete(recursive: true);
    }

    /// <exception cref="InvalidOperationException">It ended instead.</exception>
    /// <exception cref="TimeoutException">Somebody else has its port.</exception>
    private async Task WaitUntilItRelaysAsync()
    {
        var started = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                var (peer, upstream) = ConnectPair();
                peer.Dispose();
                upstream.Dispose();
                return;
            }
            catch (SocketException exception) when (exception.SocketErrorCode == SocketError.ConnectionRefused && Stopwatch.GetElapsedTime(started) < StartLimit)
            {
                if (_process.HasExited)
                {
                    throw new InvalidOperationException($"The relay ended before it served:\n{string.Concat(await Task.WhenAll(_printed))}", exception);
                }

                await Task.Delay(StartInterval); // Nothing tells that another program listens.
            }
        }
    }
}
