using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace GracefulConnections.Transport;

/// <summary>
/// Makes the pipe that a handler writes to. A flush waits there for as long as it would wait on the server's own.
/// </summary>
internal static class OutputPipe
{
    // What TLS takes at once is a record, or several, and each costs its own encryption.
    private const int LargestRecord = 16 * 1024; // RFC 8446, 5.1.

    // As Kestrel's default, for a transport that does not tell.
    private const long DefaultPauseThreshold = 64 * 1024;

    // Of the runtime's pipe, and not public.
    private const string PipeWriterType = "System.IO.Pipelines.Pipe+DefaultPipeWriter";
    private const string PipeWriterName = PipeWriterType + ", System.IO.Pipelines";

    // Many connections share the server's options, or at least a pool.
    private static readonly ConditionalWeakTable<PipeOptions, PipeOptions> AsServers = [];
    private static readonly ConditionalWeakTable<MemoryPool<byte>, PipeOptions> Defaults = [];
    private static readonly ConditionalWeakTable<MemoryPool<byte>, PipeOptions> ForTls = [];

    // Set once the runtime turned out to have another pipe. Asking again would throw for each connection.
    private static volatile bool _isUnknown;

    /// <summary>Makes a pipe that stands for the one behind the server's writer.</summary>
    /// <remarks>
    /// The application chooses the limit by <c>SocketTransportOptions.MaxWriteBufferSize</c>. Without a limit no flush
    /// ever waits, and a handler may count on that: one that writes everything before it reads would wait for ever for
    /// a peer that does the same.
    /// </remarks>
    /// <param name="pool">The connection's memory.</param>
    /// <param name="server">The server's writer.</param>
    /// <param name="sendsInline">Whether the server sends on the thread that flushes, and needs no other one.</param>
    public static Pipe Create(MemoryPool<byte> pool, PipeWriter server, out bool sendsInline)
    {
        var options = GetOptions(server);
        sendsInline = options?.ReaderScheduler == PipeScheduler.Inline;
        return new Pipe(
            options is null ? Defaults.GetValue(pool, static pool => CreateOptions(pool, DefaultPauseThreshold))
            : options.Pool == pool ? AsServers.GetValue(options, static options => CreateOptions(options.Pool, options))
            : CreateOptions(pool, options)); // A middleware has set a pool of its own.
    }

    /// <summary>
    /// Makes a pipe whose flush waits until TLS has taken everything, as on the server's own writer. A handler may
    /// write to the TLS stream next, or say close_notify there, which must not overtake what it has flushed. Its blocks
    /// hold a record, which the blocks of Kestrel's pool are too small for.
    /// </summary>
    public static Pipe CreateForTls(MemoryPool<byte> pool) => new(ForTls.GetValue(pool, static pool => new PipeOptions(
        pool.MaxBufferSize < LargestRecord ? MemoryPool<byte>.Shared : pool,
        pauseWriterThreshold: 1,
        resumeWriterThreshold: 1,
        minimumSegmentSize: LargestRecord,
        useSynchronizationContext: false)));

    /// <summary>Gets whether the writer is that of a pipe of the runtime's.</summary>
    public static bool IsPipe(PipeWriter writer) => writer.GetType().FullName == PipeWriterType;

    /// <summary>
    /// Gets whether something was flushed into a pipe that its reader, such as the server's send loop, is not done
    /// with. Not known of other writers.
    /// </summary>
    public static bool HoldsFlushed(PipeWriter writer)
    {
        if (_isUnknown || !IsPipe(writer))
        {
            return false;
        }

        try
        {
            return Volatile.Read(ref FlushedOf(PipeOf(writer))) > 0;
        }
        catch (Exception exception) when (exception is MissingMemberException or TypeLoadException)
        {
            _isUnknown = true;
            return false;
        }
    }

    /// <summary>Gets whether what was flushed into a writer to a socket is known to be in the kernel.</summary>
    public static bool IsEmpty(PipeWriter writer) => writer is SendLoop ours
        ? ours is { IsFinInKernel: true, HasUnsent: false }
        : IsPipe(writer) && !HoldsFlushed(writer) && !_isUnknown;

    // A flush that waited goes on where it would on the server's own: with inline scheduling not on the thread pool.
    private static PipeOptions CreateOptions(MemoryPool<byte> pool, PipeOptions server) => new(
        pool,
        writerScheduler: server.WriterScheduler,
        pauseWriterThreshold: server.PauseWriterThreshold,
        resumeWriterThreshold: server.ResumeWriterThreshold,
        useSynchronizationContext: false);

    // Half of the limit resumes, as on Kestrel's own pipe.
    private static PipeOptions CreateOptions(MemoryPool<byte> pool, long pauseThreshold) => new(
        pool,
        pauseWriterThreshold: pauseThreshold,
        resumeWriterThreshold: Math.Max(1, pauseThreshold / 2),
        useSynchronizationContext: false);

    private static PipeOptions? GetOptions(PipeWriter server)
    {
        if (_isUnknown || !IsPipe(server))
        {
            return null;
        }

        try
        {
            return OptionsOf(PipeOf(server));
        }
        catch (Exception exception) when (exception is MissingMemberException or TypeLoadException)
        {
            _isUnknown = true;
            return null;
        }
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_pipe")]
    private static extern ref Pipe PipeOf([UnsafeAccessorType(PipeWriterName)] object writer);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_unconsumedBytes")]
    private static extern ref long FlushedOf(Pipe pipe);

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "_options")]
    private static extern ref PipeOptions OptionsOf(Pipe pipe);
}
