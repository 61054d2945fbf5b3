using System.IO.Pipelines;

namespace GracefulConnections.Transport;

/// <summary>
/// Stands in for the writer of an output that has ended. A connection may linger for long, and its own writer would be
/// most of what it costs.
/// </summary>
internal static class EndedWriter
{
    /// <summary>Gets a writer that fails as any completed one, for a handler that is just writing.</summary>
    public static PipeWriter Instance { get; } = Create();

    private static PipeWriter Create()
    {
        var pipe = new Pipe();
        pipe.Writer.Complete();
        pipe.Reader.Complete();
        return pipe.Writer;
    }
}
