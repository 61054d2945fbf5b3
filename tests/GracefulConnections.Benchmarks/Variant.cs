namespace GracefulConnections.Benchmarks;

/// <summary>The two servers that are compared.</summary>
internal enum Variant
{
    /// <summary>Kestrel as it comes.</summary>
    Stock,

    /// <summary>The same with <c>UseGracefulShutdown()</c>.</summary>
    Graceful,
}
