using System.IO.Pipelines;
using BenchmarkDotNet.Attributes;
using GracefulConnections.Transport;

namespace GracefulConnections.Benchmarks.Micro;

/// <summary>What our reader adds to the pipe's own: for a read that finds bytes, and for one that waits for them.</summary>
[InProcess]
[MemoryDiagnoser]
public class InputMicroBenchmark
{
    private readonly byte[] _message = new byte[64];
    private Pipe _pipe = null!;
    private PipeReader _reader = null!;

    /// <summary>Gets or sets whether our reader stands in front of the pipe's.</summary>
    [Params(false, true)]
    public bool Graceful { get; set; }

    /// <summary>Makes the pipe.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _pipe = new Pipe(new PipeOptions(readerScheduler: PipeScheduler.Inline, writerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
        var (events, time) = (new NoEvents(), TimeProvider.System);
        _reader = Graceful
            ? new ReadPump(_pipe.Reader, null, InputKind.Transport, events)
            : _pipe.Reader;
    }

    /// <summary>Writes, then reads.</summary>
    [Benchmark]
    public async Task ReadWhatIsThere()
    {
        await _pipe.Writer.WriteAsync(_message);
        var read = await _reader.ReadAsync();
        _reader.AdvanceTo(read.Buffer.End);
    }

    /// <summary>Reads, then writes.</summary>
    [Benchmark]
    public async Task WaitForIt()
    {
        var reading = _reader.ReadAsync();
        await _pipe.Writer.WriteAsync(_message);
        var read = await reading;
        _reader.AdvanceTo(read.Buffer.End);
    }
}
