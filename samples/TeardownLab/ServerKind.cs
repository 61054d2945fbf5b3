namespace TeardownLab;

/// <summary>Who ends the connection once the handler has returned.</summary>
internal enum ServerKind
{
    /// <summary>Kestrel as it comes.</summary>
    Stock,

    /// <summary>Kestrel with <c>UseGracefulShutdown()</c>.</summary>
    Graceful,
}
