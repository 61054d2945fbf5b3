namespace GracefulConnections.Benchmarks;

/// <summary>The servers that are compared.</summary>
internal enum Variant
{
    /// <summary>Kestrel as it comes.</summary>
    Stock,

    /// <summary>The same with <c>UseGracefulShutdown()</c>.</summary>
    Graceful,

    /// <summary>A loop over shutdown(2): what the kernel alone costs.</summary>
    ShutdownLoop,

    /// <summary>HAProxy in TCP mode.</summary>
    HaProxy,

    /// <summary>nginx with its stream module.</summary>
    Nginx,
}
