namespace GracefulConnections.Transport;

/// <summary>Whose reader the input comes from, and so what may be done with it.</summary>
internal enum InputKind : byte
{
    /// <summary>The transport's own: what nobody reads any more is discarded until the connection ends.</summary>
    Transport,

    /// <summary>
    /// That of TLS, which takes its memory back when control returns to it: the discard begins late and ends before
    /// that.
    /// </summary>
    Tls,

    /// <summary>
    /// Another middleware's. Nothing is known of it, and a read of ours may never come back, so none is begun here.
    /// </summary>
    Foreign,
}
