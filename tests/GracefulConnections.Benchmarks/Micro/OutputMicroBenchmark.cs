using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using BenchmarkDotNet.Attributes;
using GracefulConnections.Transport;

namespace GracefulConnections.Benchmarks.Micro;

/// <summary>From a flush of 64 bytes to the peer's receive, over a loopback pair: our output against a pipe with a send loop.</summary>
[InProcess]
[MemoryDiagnoser]
public class OutputMicroBenchmark : IDisposable
{
    private const long ResumeWriterThreshold = 32 * 1024;

    private readonly byte[] _message = new byte[64];
    private readonly byte[] _received = new byte[64];
    private Socket _socket = null!;
    private Socket _peer = null!;
    private PipeWriter _writer = null!;
    private Task _sending = Task.CompletedTask;

    /// <summary>Gets or sets whether our output is measured.</summary>
    [Params(false, true)]
    public bool Graceful { get; set; }

    /// <summary>Connects the pair.</summary>
    [GlobalSetup]
    public void Setup()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        _peer = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        _peer.Connect(listener.LocalEndPoint!);
        _socket = listener.Accept();
        _socket.NoDelay = true;
        var pipe = new Pipe(new PipeOptions(useSynchronizationContext: false));
        if (Graceful)
        {
            _writer = new SendLoop(pipe, new SocketQueue(_socket), new NoEvents());
        }
        else
        {
            _writer = pipe.Writer;
            _sending = SendAsync(pipe.Reader);
        }
    }

    /// <summary>Ends the pair.</summary>
    [GlobalCleanup]
    public async Task CleanUp()
    {
        await _writer.CompleteAsync();
        await _sending;
        Dispose();
    }

    /// <inheritdoc />
    public void Dispose()
    {
        _socket.Dispose();
        _peer.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Writes, flushes, and receives on the other side.</summary>
    [Benchmark]
    public async Task WriteAndReceive()
    {
        await _writer.WriteAsync(_message);
        for (var received = 0; received < _message.Length;)
        {
            received += _peer.Receive(_received);
        }
    }

    private async Task SendAsync(PipeReader reader)
    {
        while (true)
        {
            var read = await reader.ReadAsync();
            foreach (var segment in read.Buffer)
            {
                await _socket.SendAsync(segment);
            }

            reader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
            {
                return;
            }
        }
    }
}
